/** The collections that conversations of a folder begin with, as fields of the folder's form. */

import { loadStyles } from "antiphon/files/loader";
import { fetchJson } from "antiphon/lib/fetch";
import { t } from "antiphon/lib/texts";

/** @param {HTMLFormElement} form @param {string} root @param {string} folder its id; empty: a new one @returns {Promise<(() => Record<string, string>)>} what the form says of them */
export async function showFolderKnowledge(form, root, folder) {
  form.querySelector(".folder-knowledge")?.remove();
  const { collections } = await fetchJson(`${root}collections/?folder=${folder}`).catch(() => ({ collections: [] }));
  if (!collections.length) return () => ({});
  await loadStyles();
  const place = document.createElement("fieldset");
  place.className = "field folder-knowledge";
  place.append(Object.assign(document.createElement("legend"), { textContent: t("Knowledge of new conversations in it") }));
  for (const one of collections) {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: one.id, checked: one.on });
    label.append(box, " ", Object.assign(document.createElement("span"), { textContent: one.name, dir: "auto" }));
    place.append(label);
  }
  form.querySelector(".field-error")?.before(place);
  const boxes = /** @type {HTMLInputElement[]} */ ([...place.querySelectorAll("input")]);
  return () => ({ collections: JSON.stringify(boxes.filter((box) => box.checked).map((box) => box.value)) });
}
