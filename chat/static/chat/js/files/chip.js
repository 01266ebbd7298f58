/** One file that is to be sent. */

import { spellSize } from "antiphon/conversation/step-words";
import { t, tc } from "antiphon/lib/texts";
import { fileIcon, icon } from "antiphon/files/icons";
import { pictureOf } from "antiphon/files/local-pictures";
import { fileWords } from "antiphon/files/words";

/** @typedef {import("antiphon/files/uploads").Entry} Entry */

export class Chip {
  /** @param {Entry} entry @param {import("antiphon/files/file-box").FileBox} box */
  constructor(entry, box) {
    this.box = box;
    this.shown = "";
    /** @type {string | undefined} */
    this.uploadId = undefined;
    this.element = document.createElement("li");
    this.element.className = "chip";
    this.picture = document.createElement("span");
    this.picture.className = "chip-picture";
    const words = document.createElement("div");
    words.className = "chip-words";
    this.name = Object.assign(document.createElement("span"), { className: "chip-name", dir: "auto" });
    this.note = Object.assign(document.createElement("span"), { className: "chip-note" });
    this.bar = document.createElement("progress");
    words.append(this.name, this.note, this.bar);
    this.again = this.button("chip-act", t("Try again"), () => box.uploads.retry(this.entry));
    this.pick = this.button("chip-act", t("Choose the file again"), () => box.choose({}, this.entry));
    this.text = this.button("chip-act", t("Put it back as text"), () => void box.toText(this.entry));
    words.append(this.again, this.pick, this.text);
    this.discard = this.button("icon-button chip-remove", "", () => box.remove(this.entry));
    this.discard.append(icon("close"));
    this.element.append(this.picture, words, this.discard);
    this.entry = entry;
  }

  /** @param {string} className @param {string} words @param {() => void} run */
  button(className, words, run) {
    const button = Object.assign(document.createElement("button"), { type: "button", className, textContent: words });
    button.addEventListener("click", run);
    return button;
  }

  /** @param {Entry} entry */
  show(entry) {
    const { name, state } = entry;
    this.entry = entry;
    this.name.textContent = name;
    this.name.title = name;
    const moving = state === "sending" || state === "waiting" || state === "checking" || state === "retrying";
    this.note.textContent = noteOf(entry);
    this.bar.hidden = !moving;
    this.bar.setAttribute("aria-label", t("Upload of {name}", { name }));
    if (state === "checking" || state === "waiting") this.bar.removeAttribute("value");
    else Object.assign(this.bar, { max: entry.size, value: entry.sent });
    const focused = document.activeElement;
    this.again.hidden = !(state === "retrying" || (state === "failed" && !entry.final && entry.blob));
    this.pick.hidden = !(state === "stopped" && !entry.pasted);
    this.text.hidden = !(entry.pasted && this.box.options.onText && (entry.blob || entry.file || entry.text !== undefined));
    if (focused instanceof HTMLElement && focused.hidden && this.element.contains(focused)) this.discard.focus();
    const words = moving ? t("Cancel the upload of {name}", { name }) : tc("thing", "Remove {name}", { name });
    this.discard.setAttribute("aria-label", words);
    this.discard.title = words;
    this.element.dataset.state = state;
    this.element.dataset.read = entry.file?.state ?? "";
    this.showPicture(entry);
    this.shown = state;
  }

  /** @param {Entry} entry */
  showPicture(entry) {
    const url = (entry.preview ?? pictureOf(entry.file?.id ?? "")) || (entry.file?.thumbnail ? `${this.box.options.page.urls.root}attachments/${entry.file.id}/thumbnail/` : "");
    const shown = url || fileIcon(entry.file?.kind, entry.name);
    if (this.picture.dataset.shown === shown) return;
    this.picture.dataset.shown = shown;
    if (!url) return this.picture.replaceChildren(icon(shown));
    const image = Object.assign(document.createElement("img"), { alt: "", src: url });
    image.addEventListener("error", () => this.picture.replaceChildren(icon(fileIcon(entry.file?.kind, entry.name))));
    return this.picture.replaceChildren(image);
  }
}

/** @param {Entry} entry */
function noteOf(entry) {
  const size = spellSize(entry.size);
  switch (entry.state) {
    case "waiting":
      return `${size} · ${t("waiting for its turn")}`;
    case "sending":
      return t("{done} of {size}", { done: spellSize(entry.sent), size });
    case "checking":
      return `${size} · ${t("being checked…")}`;
    case "retrying":
      return t("{reason} It continues by itself.", { reason: entry.reason });
    case "failed":
      return entry.reason;
    case "stopped":
      return t("The upload was interrupted at {percent}%.", { percent: Math.floor((entry.received / entry.size) * 100) });
    default:
      return entry.file ? fileWords(entry.file) : size;
  }
}
