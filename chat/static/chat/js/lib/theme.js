/** Light, dark, or the system's theme. boot.js applies the choice before the first paint. */

import { recall, remember } from "antiphon/lib/storage";

/** @param {HTMLElement} group the radio buttons */
export function startTheme(group) {
  const inputs = group.querySelectorAll("input");
  const show = (/** @type {string} */ theme) => {
    for (const input of inputs) input.checked = input.value === theme;
  };
  show(recall("theme") ?? "system");
  for (const input of inputs) input.addEventListener("change", () => choose(input.value));
  addEventListener("antiphon:choice", (event) => {
    const { name, value } = /** @type {CustomEvent} */ (event).detail; // of the settings, over this page
    if (name === "theme") show(value || "system");
  });
  addEventListener("storage", (event) => {
    if (event.key !== "antiphon.theme") return;
    apply(event.newValue ?? "system");
    show(event.newValue ?? "system");
  });
}

/** @param {string} theme */
function choose(theme) {
  remember("theme", theme === "system" ? null : theme);
  apply(theme);
}

/** @param {string} theme */
function apply(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
