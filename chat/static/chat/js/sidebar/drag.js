/** Drags conversations into folders and out of them, and folders into each other. The menus do the same. */

import { post } from "antiphon/lib/fetch";
import {  } from "antiphon/lib/texts";
import { showFailure } from "antiphon/sidebar/failure";

const KIND = "application/x-antiphon-entry";

/** @param {import("antiphon/sidebar/organising").Order} order */
export function startDragging(order) {
  const sidebar = /** @type {HTMLElement} */ (document.getElementById("sidebar"));
  let dragged = /** @type {{ids: string[], folder: string} | null} */ (null);
  let target = /** @type {HTMLElement | null} */ (null);

  const show = (/** @type {HTMLElement | null} */ place) => {
    if (place === target) return;
    target?.classList.remove("is-target");
    place?.classList.add("is-target");
    target = place;
  };
  /** @param {DragEvent} event */
  const placeOf = (event) => {
    const found = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest(".folder, #list-back:not([hidden])"));
    return dragged && !(found && dragged.folder && found.dataset.folder === dragged.folder) ? found : null;
  };

  sidebar.addEventListener("dragstart", (event) => {
    const entry = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest(".item, .folder"));
    if (!entry || !event.dataTransfer) return;
    const id = entry.dataset.id ?? "";
    const chosen = order.selection?.chosen ?? new Set();
    dragged = { ids: id ? (chosen.has(id) ? [...chosen] : [id]) : [], folder: entry.dataset.folder ?? "" };
    event.dataTransfer.setData(KIND, JSON.stringify(dragged));
    event.dataTransfer.effectAllowed = "copyMove";
    sidebar.classList.add("is-dragging");
  });
  sidebar.addEventListener("dragover", (event) => {
    const place = placeOf(event);
    show(place);
    if (!place) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = "move";
  });
  sidebar.addEventListener("drop", (event) => {
    const place = placeOf(event);
    if (!place || !dragged) return;
    event.preventDefault();
    const folder = place.dataset.folder ?? "";
    const name = place.querySelector(".folder-name")?.textContent ?? "";
    if (dragged.folder) {
      const url = `${order.page.urls.root}folders/${dragged.folder}/move/`;
      post(url, order.page.csrf, { parent: folder }).then(() => order.window.refresh(0)).catch(showFailure);
    } else {
      void order.run("move", dragged.ids, { folder }, folder ? name : "").then(() => order.selection?.leave());
    }
  });
  sidebar.addEventListener("dragend", () => {
    dragged = null;
    show(null);
    sidebar.classList.remove("is-dragging");
  });
}
