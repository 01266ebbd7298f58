/** What is known of what models can do, for the views of answers. */

import { tn } from "antiphon/lib/texts";

/** @type {Map<string, import("antiphon/conversation/model-list").Model>} */
const known = new Map();
/** What is shown again when more is known, with the element in which it is. @type {Map<Element, () => void>} */
const shown = new Map();

/** @param {import("antiphon/conversation/model-list").Model[]} models those that are offered now */
export function noteModels(models) {
  for (const model of models) known.set(model.id, model);
  for (const [element, show] of shown) {
    if (element.isConnected) show();
    else shown.delete(element);
  }
}

/** @param {Element} element @param {() => void} show */
export function showWithModels(element, show) {
  shown.set(element, show);
  show();
}

/** What to say of images that an answer's tool returned: its model did not see them. Empty: it did, or nobody knows. @param {string} id the model's @param {number} count */
export function unseenWords(id, count) {
  const model = known.get(id);
  if (!count || model?.sees !== false) return "";
  return tn("{model} does not see images: it read only that there is one.", "{model} does not see images: it read only that there are {count}.", count, { model: model.label, count });
}
