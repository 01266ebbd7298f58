/** The files that are to be sent with a message, above its field: name, size, progress, and what can be done with each. */

import { t, tn } from "antiphon/lib/texts";
import { makeId } from "antiphon/wire/protocol";
import { spellSize } from "antiphon/conversation/step-words";
import { Chip } from "antiphon/files/chip";
import { keepPicture } from "antiphon/files/local-pictures";
import { loadStyles } from "antiphon/files/loader";
import { Uploads } from "antiphon/files/uploads";

/** @typedef {import("antiphon/files/requests").FileObject} FileObject */
/** @typedef {import("antiphon/files/uploads").Entry} Entry */

const SHOWN = /^image\/(?:png|jpeg|gif|webp|avif|bmp)$/; // that browsers show
const PASTED = "pasted.txt";
const LONGEST_KEPT = 200_000; // characters of a pasted text that the draft keeps until it is uploaded

export class FileBox {
  /**
   * @param {object} options
   * @param {any} options.page what the server put into the page
   * @param {(words: string) => void} options.say tells a screen reader
   * @param {() => void} options.onChange
   * @param {(text: string) => void} [options.onText] a pasted text is to be in the field again
   * @param {HTMLElement} options.field that gets the focus when there is no chip left
   */
  constructor(options) {
    this.options = options;
    const { page } = options;
    this.uploads = new Uploads({ root: page.urls.root, csrf: () => page.csrf, onChange: (entry) => this.changed(entry) });
    /** @type {Map<string, Chip>} */
    this.chips = new Map();
    this.element = document.createElement("div");
    this.element.className = "attached";
    this.list = document.createElement("ul");
    this.list.className = "chips";
    this.list.setAttribute("role", "list");
    this.list.setAttribute("aria-label", t("Files of this message"));
    this.note = document.createElement("p");
    this.note.className = "attached-note";
    this.note.setAttribute("role", "status");
    this.element.hidden = true;
    this.warning = ""; // what stays said below the files
    this.picker = Object.assign(document.createElement("input"), { type: "file", multiple: true, hidden: true });
    this.picker.addEventListener("change", () => {
      this.chosen([...(this.picker.files ?? [])]);
      this.picker.value = "";
    });
    this.element.append(this.list, this.note, this.picker);
    /** The interrupted upload whose file is being chosen again. @type {Entry | null} */
    this.resumed = null;
    this.styles = loadStyles();
  }

  get entries() {
    return this.uploads.entries;
  }

  get count() {
    return this.entries.length;
  }

  /** Opens the file chooser. @param {Partial<HTMLInputElement>} [how] @param {Entry | null} [resumed] */
  choose(how = {}, resumed = null) {
    this.resumed = resumed;
    Object.assign(this.picker, { multiple: !resumed, accept: "", capture: "", webkitdirectory: false }, how);
    if (!how.capture) this.picker.removeAttribute("capture");
    this.picker.click();
  }

  /** @param {File[]} files */
  chosen(files) {
    const entry = this.resumed;
    this.resumed = null;
    if (!entry || !files.length) return this.add(files);
    const [file] = files;
    if (file.size !== entry.size || file.name !== entry.name) {
      return this.tell(t("This is another file. Choose {name} ({size}).", { name: entry.name, size: spellSize(entry.size) }));
    }
    entry.blob = file;
    this.tell("");
    this.uploads.retry(entry);
    return undefined;
  }

  /** @param {File[]} files @param {boolean} [arePasted] */
  add(files, arePasted = false) {
    const { most, bytes } = this.options.page.files;
    const fitting = files.slice(0, Math.max(0, most - this.count));
    for (const file of fitting) {
      const name = arePasted && /^image\.\w+$/.test(file.name) ? this.nameOf(file.name) : file.name;
      const entry = this.make({ name, size: file.size, modified: file.lastModified, blob: file });
      if (SHOWN.test(file.type)) entry.preview = URL.createObjectURL(file);
      if (!file.size) Object.assign(entry, { state: "failed", final: true, reason: t("This file is empty.") });
      else if (file.size > bytes) Object.assign(entry, { state: "failed", final: true, reason: t("At most {size} MB.", { size: Math.floor(bytes / 2 ** 20) }) });
      this.uploads.start(entry);
      this.changed(entry);
    }
    const left = files.length - fitting.length;
    if (left) this.tell(tn("A message can have {most} files: {count} was not added.", "A message can have {most} files: {count} were not added.", left, { most }));
    else this.tell("");
    if (fitting.length) this.options.say(tn("{count} file added.", "{count} files added.", fitting.length));
    this.reveal();
  }

  /** Images that are pasted all have one name. @param {string} name */
  nameOf(name) {
    const taken = new Set(this.entries.map((entry) => entry.name));
    for (let number = 1; ; number += 1) {
      const one = name.replace(".", ` ${number}.`);
      if (!taken.has(one)) return one;
    }
  }

  /** A long text becomes a file. @param {string} text */
  addText(text) {
    const { most } = this.options.page.files;
    if (this.count >= most) return void this.options.onText?.(text);
    const blob = new Blob([text], { type: "text/plain" });
    const entry = this.make({ name: PASTED, size: blob.size, blob, pasted: true, text: text.length <= LONGEST_KEPT ? text : undefined });
    this.uploads.start(entry);
    this.changed(entry);
    this.options.say(t("The long text was added as a file."));
    this.reveal();
    return undefined;
  }

  /** Puts a pasted text into the field again. @param {Entry} entry */
  async toText(entry) {
    try {
      const text = entry.text ?? (entry.blob ? await entry.blob.text() : await this.fetchText(entry));
      this.remove(entry);
      this.options.onText?.(text);
    } catch {
      this.tell(t("The text can’t be read now. Try again in a moment."));
    }
  }

  /** @param {Entry} entry */
  async fetchText(entry) {
    const response = await fetch(`${this.options.page.urls.root}attachments/${entry.file?.id}/`);
    if (!response.ok) throw new Error("not found");
    return response.text();
  }

  /** Files that are uploaded. @param {FileObject[]} files */
  adopt(files) {
    for (const file of files) {
      const entry = this.make({ name: file.name, size: file.size, blob: null, pasted: file.pasted });
      Object.assign(entry, { file, state: "done", received: file.size, sent: file.size });
      this.uploads.start(entry);
      this.changed(entry);
    }
    this.reveal();
  }

  /** @param {Partial<Entry>} some @returns {Entry} */
  make(some) {
    return /** @type {Entry} */ ({
      key: makeId(), name: "", size: 0, blob: null, file: null, state: "waiting", reason: "", received: 0, sent: 0, tries: 0, restarts: 0,
      timer: 0, chunkBytes: 0, request: null, ...some,
    });
  }

  /** @param {Entry} entry */
  remove(entry) {
    const chip = this.chips.get(entry.key);
    const next = chip?.element.nextElementSibling ?? chip?.element.previousElementSibling;
    const hadFocus = chip?.element.contains(document.activeElement);
    this.uploads.cancel(entry);
    if (entry.preview && entry.file) keepPicture(entry.file.id, entry.preview);
    else if (entry.preview) URL.revokeObjectURL(entry.preview);
    chip?.element.remove();
    this.chips.delete(entry.key);
    this.element.hidden = !this.count;
    if (!this.count) this.tell("");
    if (hadFocus) (/** @type {HTMLElement | null} */ (next?.querySelector(".chip-remove")) ?? this.options.field).focus();
    this.options.onChange();
  }

  /** The files, which are another message's from here on. @returns {FileObject[]} */
  take() {
    const files = this.entries.flatMap((entry) => (entry.file ? [entry.file] : []));
    for (const entry of [...this.entries]) this.remove(entry);
    return files;
  }

  /** @param {Entry} entry */
  changed(entry) {
    if (!this.entries.includes(entry)) return;
    let chip = this.chips.get(entry.key);
    if (!chip) {
      chip = new Chip(entry, this);
      this.chips.set(entry.key, chip);
      this.list.append(chip.element);
    }
    const before = chip.shown;
    chip.show(entry);
    if (before && before !== entry.state) this.announce(entry);
    this.element.hidden = false;
    const begun = chip.uploadId !== entry.uploadId; // the draft must know it, to go on after a reload
    chip.uploadId = entry.uploadId;
    if (begun || before !== entry.state) this.options.onChange();
  }

  /** @param {Entry} entry */
  announce(entry) {
    if (entry.state === "done") this.options.say(t("{name} is uploaded.", { name: entry.name }));
    if (entry.state === "failed") this.options.say(t("{name} was not uploaded: {reason}", { name: entry.name, reason: entry.reason }));
  }

  /** What the server has read of a file meanwhile. @param {FileObject} file */
  update(file) {
    const entry = this.entries.find((one) => one.file?.id === file.id);
    if (!entry) return;
    entry.file = { ...entry.file, ...file };
    Object.assign(entry, { name: file.name, size: file.size });
    this.changed(entry);
    this.options.onChange();
  }

  /** Those that are not uploaded yet. */
  get pending() {
    return this.entries.filter((entry) => ["waiting", "sending", "retrying", "checking"].includes(entry.state));
  }

  /** Those that will not be uploaded unless the person does something. */
  get stuck() {
    return this.entries.filter((entry) => entry.state === "failed" || entry.state === "stopped");
  }

  /** @param {string} words empty: what stays said, if anything */
  tell(words) {
    this.note.textContent = words || this.warning;
  }

  reveal() {
    void this.styles.then(() => this.list.lastElementChild?.scrollIntoView({ block: "nearest", inline: "nearest" }));
  }
}
