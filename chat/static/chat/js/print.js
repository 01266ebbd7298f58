// The page for printing: opens the browser's dialog once everything is there, and on its button.
(() => {
  const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("print"));
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => window.print());
  const longest = Date.now() + 10_000;
  // Formulas are set, and diagrams drawn, after the page has loaded.
  const ready = () => (document.documentElement.dataset.drawing && Date.now() < longest ? setTimeout(ready, 100) : window.print());
  addEventListener("load", () => setTimeout(ready, 300));
})();
