/** Light, dark, or the system's theme. boot.js applies the choice before the first paint. */

import { recall, remember } from "antiphon/lib/storage";

/** @param {HTMLElement} group the radio buttons */
export function startTheme(group) {
  const chosen = recall("theme") ?? "system";
  for (const input of group.querySelectorAll("input")) {
    input.checked = input.value === chosen;
    input.addEventListener("change", () => choose(input.value));
  }
  addEventListener("storage", (event) => {
    if (event.key !== "antiphon.theme") return;
    apply(event.newValue ?? "system");
    for (const input of group.querySelectorAll("input")) input.checked = input.value === (event.newValue ?? "system");
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
