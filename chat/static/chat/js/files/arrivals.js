/** Files come in by the button, by paste and by drop. What takes them is loaded with the first one. */

import { recall } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";
import { showNote } from "antiphon/conversation/status";

/** @typedef {import("antiphon/files/composer-files").ComposerFiles} ComposerFiles */

const LONG = 8_000; // characters of a paste that becomes a file

/** Where a draft's files are kept. @param {string} draftKey of its text */
export const filesKey = (draftKey) => draftKey.replace("draft.", "draft.files.");

/** @param {import("antiphon/conversation/conversation").Conversation} conversation */
export function startFiles(conversation) {
  const { composer, page } = conversation;
  const { form, field } = composer;
  /** @type {Promise<ComposerFiles> | undefined} */
  let loading;
  const load = () =>
    (loading ??= import("antiphon/files/composer-files").then(({ ComposerFiles }) => (composer.files = new ComposerFiles(conversation))));
  /** @param {(files: ComposerFiles) => unknown} use */
  const take = (use) => {
    load().then(use, () => {
      loading = undefined;
      showNote(t("Files can’t be attached now. Check your connection and try again."));
    });
  };
  const isClosed = () => form.hidden || form.hasAttribute("data-suspended") || !(page.files.most && page.files.bytes);
  conversation.withFiles = take;
  const input = Object.assign(document.createElement("input"), { type: "file", multiple: true, hidden: true });
  form.append(input);
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = "";
    take((taker) => taker.add(files));
  });
  document.getElementById("attach")?.addEventListener("click", () => {
    if (matchMedia("(pointer: coarse)").matches) take((files) => files.choose()); // the camera, too
    else input.click(); // at once: some browsers refuse it later
  });
  document.addEventListener("paste", (event) => {
    const data = event.clipboardData;
    const place = /** @type {Element} */ (event.target).closest("input, textarea, dialog, [contenteditable]");
    if (!data || isClosed() || (place && place !== field && !place.closest(".editor"))) return;
    const text = data.getData("text/plain");
    if (data.files.length && !text) {
      event.preventDefault();
      const files = [...data.files]; // they are gone after the event
      const editor = place?.closest(".editor");
      take((taker) => (editor ? taker.editor : taker)?.add(files, true));
    } else if (place === field && text.length > LONG) {
      event.preventDefault();
      take((taker) => taker.addText(text));
    }
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const drag = /** @type {DragEvent} */ (event);
      const data = drag.dataTransfer;
      if (!data?.types.includes("Files")) return;
      if (kind !== "dragleave") event.preventDefault(); // the browser would leave the page and open the file
      if (isClosed()) return void (data.dropEffect = "none");
      const entries = kind === "drop" ? [...data.items].map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()) : [];
      const inside = kind === "dragover" || (kind === "dragleave" && drag.relatedTarget !== null);
      take((taker) => taker.drag(inside, entries));
    });
  }
  if (recall(filesKey(composer.options.draftKey())) || /[?&](attach|upload)=/.test(location.search)) take((files) => files.restore());
}
