/** The settings as a page of their own: an address that was opened directly. */

import { startSection } from "antiphon/settings/sections";

const OLD = ["account", "appearance", "notifications", "data"]; // parts of what was one page, by their fragments

const { hash, pathname } = location;
if (OLD.includes(hash.slice(1)) && pathname.endsWith("/settings/")) {
  const link = /** @type {HTMLAnchorElement | undefined} */ ([...document.querySelectorAll(".settings-nav a")].find((one) => one.pathname.includes(`/${hash.slice(1)}/`)));
  if (link) location.replace(link.href);
}
startSection(/** @type {HTMLElement} */ (document.getElementById("settings")), () => location.reload());
// After a reload of the sheet's address, "back" changes the address and nothing else: the entries are of one page.
addEventListener("popstate", () => location.reload());
