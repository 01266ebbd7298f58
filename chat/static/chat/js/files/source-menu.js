/** Where a file comes from: on a touch screen, the camera is offered beside the files. */

import { moveInMenu } from "antiphon/lib/keys";
import { t } from "antiphon/lib/texts";
import { icon } from "antiphon/files/icons";

/** @param {HTMLElement} button @param {import("antiphon/files/file-box").FileBox} box */
export function chooseSource(button, box) {
  if (!matchMedia("(pointer: coarse)").matches) return box.choose();
  document.getElementById("source-menu")?.remove();
  const menu = Object.assign(document.createElement("div"), { id: "source-menu", className: "menu source-menu", popover: "auto" });
  menu.setAttribute("role", "menu");
  menu.setAttribute("aria-label", t("Attach files"));
  const add = (/** @type {string} */ sign, /** @type {string} */ words, /** @type {Partial<HTMLInputElement>} */ how) => {
    const item = Object.assign(document.createElement("button"), { type: "button", tabIndex: -1 });
    item.setAttribute("role", "menuitem");
    item.append(icon(sign), Object.assign(document.createElement("span"), { textContent: words }));
    item.addEventListener("click", () => {
      menu.hidePopover();
      box.choose(how);
    });
    menu.append(item);
  };
  add("camera", t("Take a photo"), { accept: "image/*", capture: "environment", multiple: false });
  add("image", t("Choose photos"), { accept: "image/*" });
  add("file", t("Choose files"), {});
  menu.addEventListener("keydown", (event) => moveInMenu(event, menu));
  menu.addEventListener("toggle", (event) => {
    const open = /** @type {ToggleEvent} */ (event).newState === "open";
    button.setAttribute("aria-expanded", String(open));
    if (!open) menu.remove();
  });
  document.body.append(menu);
  void box.styles.then(() => {
    menu.showPopover();
    const place = button.getBoundingClientRect();
    menu.style.insetBlockEnd = `${innerHeight - place.top + 8}px`;
    /** @type {HTMLElement} */ (menu.firstElementChild).focus();
  });
  return undefined;
}
