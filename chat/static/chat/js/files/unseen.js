/** Says before sending that the chosen model does not see images, or else what they will cost. */

import { list, t } from "antiphon/lib/texts";
import { costNote } from "antiphon/files/cost-note";
import { fileIcon } from "antiphon/files/icons";

/** @param {import("antiphon/files/file-box").FileBox} box @param {import("antiphon/conversation/picker").Picker} picker */
export function noteUnseen(box, picker) {
  const wanted = () => {
    const { compared, asked } = picker;
    return compared ? picker.models.filter((model) => compared.includes(model.id)) : asked ? [asked] : [];
  };
  const showCost = costNote(box, wanted);
  const look = () => {
    showCost();
    const blind = wanted().filter((model) => model.sees === false).map((model) => model.label);
    // Of an image in which text was recognised, a model that does not see gets that text.
    const hasImages = box.entries.some((entry) => fileIcon(entry.file?.kind, entry.name) === "image" && !entry.file?.characters);
    const before = box.warning;
    box.warning = blind.length && hasImages ? t("{model} does not see images: it gets their names only. Choose another model to have them seen.", { model: list(blind) }) : "";
    box.element.classList.toggle("is-unseen", box.warning !== "");
    if (box.note.textContent === before) box.tell("");
  };
  const { onShown } = picker;
  picker.onShown = () => {
    onShown?.();
    look();
  };
  const { onChange } = box.options;
  box.options.onChange = () => {
    look();
    onChange();
  };
}
