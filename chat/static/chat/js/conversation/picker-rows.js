/** The rows of the picker's list. */

import { marksOf, shortPrice, shortWindow } from "antiphon/conversation/model-list";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/model-list").Entry} Entry */

/** @param {HTMLTemplateElement} blank @param {Entry} entry @param {{selected: boolean, canStar: boolean}} state */
export function buildRow(blank, entry, { selected, canStar }) {
  const row = /** @type {HTMLElement} */ (/** @type {Element} */ (blank.content.firstElementChild).cloneNode(true));
  const { model } = entry;
  row.dataset.value = entry.value;
  row.ariaSelected = String(selected);
  row.ariaDisabled = entry.gone ? "true" : null;
  part(row, ".choice-name").textContent = entry.label;
  const shown = { sees: model?.sees, thinks: model?.thinks, tools: model?.tools };
  for (const [name, has] of Object.entries(shown)) if (!has) part(row, `.mark-${name}`).remove();
  setText(part(row, ".mark-window"), model?.window ? shortWindow(model.window) : "");
  setText(part(row, ".mark-price"), model?.price ? shortPrice(model.price) : "");
  if (!model || !canStar) part(row, ".choice-star").remove();
  return row;
}

/**
 * Shows whether an entry is a favourite, and names the row for screen readers.
 * @param {HTMLElement} row @param {Entry} entry @param {{starred: boolean, gone: string}} state `gone`: the words for it
 */
export function markRow(row, entry, { starred, gone }) {
  row.classList.toggle("is-starred", starred);
  const marks = entry.model ? marksOf(entry.model) : [];
  row.ariaLabel = [entry.label, entry.gone ? gone : entry.about, ...marks, starred ? t("favourite") : ""].filter(Boolean).join(", ");
}

/** @param {HTMLElement} row @param {string} selector */
export function part(row, selector) {
  return /** @type {HTMLElement} */ (row.querySelector(selector));
}

/** @param {HTMLElement} element @param {string} text */
function setText(element, text) {
  element.textContent = text;
  element.hidden = !text;
}
