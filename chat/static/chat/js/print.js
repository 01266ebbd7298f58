// The page for printing: opens the browser's dialog once everything is there, and on its button.
(() => {
  const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("print"));
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => window.print());
  addEventListener("load", () => setTimeout(() => window.print(), 300)); // formulas are set after the page has loaded
})();
