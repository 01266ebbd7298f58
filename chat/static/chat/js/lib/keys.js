import { recall } from "antiphon/lib/storage";

/** Whether Enter sends: as chosen in the settings, else with a keyboard, not on a touch screen. @returns {boolean} */
export function enterSends() {
  const chosen = recall("enter");
  return chosen ? chosen === "send" : !matchMedia("(hover: none) and (pointer: coarse)").matches;
}

/** Whether a key belongs to an input method, which composes a word. In Safari the key that ends it comes after, as 229. @param {KeyboardEvent} event */
export function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}

/** Escape closes a sheet, and does nothing else. @param {KeyboardEvent} event @param {{close(): void}} sheet */
export function closeOnEscape(event, sheet) {
  if (event.key !== "Escape" || isComposing(event) || event.defaultPrevented) return;
  event.preventDefault();
  event.stopPropagation(); // it would stop the answer
  sheet.close();
}

/** The choices of a menu that can be chosen now. @param {HTMLElement} menu */
export function choicesOf(menu) {
  return /** @type {HTMLElement[]} */ ([...menu.querySelectorAll("[role=menuitem]:not([hidden])")]);
}

/** The arrow keys, Home and End move the focus within a menu. @param {KeyboardEvent} event @param {HTMLElement} menu */
export function moveInMenu(event, menu) {
  const choices = choicesOf(menu);
  const at = choices.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  if (event.key === "ArrowDown") choices[(at + 1) % choices.length].focus();
  else if (event.key === "ArrowUp") choices[(at + choices.length - 1) % choices.length].focus();
  else if (event.key === "Home") choices[0].focus();
  else if (event.key === "End") choices[choices.length - 1].focus();
  else return;
  event.preventDefault();
}
