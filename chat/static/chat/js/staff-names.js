// Roles that the admin's package leaves out, for screen readers. Its own scripts, which also wait for the page to be
// loaded, have run by then.

addEventListener("load", () =>
  setTimeout(() => {
    for (const icon of document.querySelectorAll(".help-tooltip[aria-label]")) icon.setAttribute("role", "img");
    for (const list of document.querySelectorAll("ul.object-tools")) list.setAttribute("role", "group");
    // Several boxes that scroll are regions of one name.
    for (const box of document.querySelectorAll(".simplebar-content-wrapper[role=region]")) box.setAttribute("role", "group");
  }),
);
