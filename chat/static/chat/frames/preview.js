// In the sandboxed frame that shows HTML or SVG of an answer: takes {html}, and becomes it. A classic script on
// purpose: the frame has no origin, so that modules could not be loaded.
addEventListener("message", (event) => {
  if (event.source !== parent || typeof event.data?.html !== "string") return;
  document.open();
  document.write(event.data.html);
  document.close();
});
parent.postMessage({ ready: true }, "*");
