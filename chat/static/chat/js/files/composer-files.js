/** The files of the message that is being written: they come in, wait for their upload, and are kept with the draft. */

import { t } from "antiphon/lib/texts";
import { recall, remember } from "antiphon/lib/storage";
import { filesKey } from "antiphon/files/arrivals";
import { readEntries } from "antiphon/files/entries";
import { FileBox } from "antiphon/files/file-box";
import { ask } from "antiphon/files/requests";
import { chooseSource } from "antiphon/files/source-menu";
import { noteUnseen } from "antiphon/files/unseen";

/** @typedef {import("antiphon/files/requests").FileObject} FileObject */
/** @typedef {import("antiphon/files/uploads").Entry} Entry */

export class ComposerFiles {
  /** @param {import("antiphon/conversation/conversation").Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    const { composer, page, announcer } = conversation;
    this.composer = composer;
    this.box = new FileBox({
      page,
      field: composer.field,
      say: (words) => announcer.say(words),
      onChange: () => this.changed(),
      onText: (text) => this.putBack(text),
    });
    /** The files of a message that is being edited. @type {FileBox | null} */
    this.editor = null;
    /** How the message is to be sent once its files are uploaded. @type {object | null} */
    this.waiting = null;
    this.key = "";
    this.notNow = Object.assign(document.createElement("button"), { type: "button", className: "chip-act", textContent: t("Don’t send yet"), hidden: true });
    this.notNow.addEventListener("click", () => {
      this.wait(null);
      composer.field.focus();
    });
    this.box.element.append(this.notNow);
    /** @type {HTMLElement} */ (composer.field.labels?.[0] ?? composer.field).before(this.box.element);
    this.target = Object.assign(document.createElement("div"), { className: "drop-target", hidden: true });
    this.target.append(Object.assign(document.createElement("p"), { textContent: t("Drop files to attach them") }));
    document.getElementById("main")?.append(this.target);
    noteUnseen(this.box, conversation.picker);
    conversation.listeners.push((frame) => {
      if (frame.type === "file.updated") this.box.update(frame.file);
    });
  }

  get count() {
    return this.box.count;
  }

  /** Opens the file chooser; on a touch screen, asks first whether to take a photo. */
  choose() {
    chooseSource(/** @type {HTMLElement} */ (document.getElementById("attach")), this.box);
  }

  /** @param {File[]} files @param {boolean} [arePasted] */
  add(files, arePasted) {
    this.box.add(files, arePasted);
  }

  /** @param {string} text */
  addText(text) {
    this.box.addText(text);
  }

  /** @param {boolean} inside whether files are held over the page @param {(FileSystemEntry | File | null)[]} dropped */
  drag(inside, dropped) {
    this.target.hidden = !inside;
    if (dropped.length) void readEntries(dropped).then((files) => (this.editor ?? this.box).add(files));
  }

  /** @param {string} text */
  putBack(text) {
    const { composer } = this;
    composer.write([composer.field.value, text].filter(Boolean).join("\n"));
    composer.field.focus();
  }

  /** Gives files back that were not sent. @param {FileObject[] | undefined} files */
  giveBack(files) {
    if (files?.length) this.box.adopt(files);
  }

  /**
   * Whether the message must wait for its files. If so, it is sent by itself once they are uploaded.
   * @param {object} how as the composer sends it
   */
  hold(how) {
    const [stuck] = this.box.stuck;
    if (stuck) {
      this.wait(null);
      this.box.tell(t("{name} is not uploaded. Remove it or try again, then send.", { name: stuck.name }));
      this.box.chips.get(stuck.key)?.discard.focus();
      return true;
    }
    if (!this.box.pending.length) return false;
    this.wait(how);
    return true;
  }

  /** @param {object | null} how */
  wait(how) {
    this.waiting = how;
    this.notNow.hidden = !how;
    this.box.tell(how ? t("The message is sent as soon as its files are uploaded.") : "");
  }

  /** @returns {FileObject[]} */
  take() {
    this.wait(null);
    return this.box.take();
  }

  /** Those that are uploaded, of a message that does not wait for the others. @returns {FileObject[] | undefined} */
  takeUploaded() {
    return this.box.pending.length || this.box.stuck.length ? undefined : this.take();
  }

  changed() {
    this.save();
    this.composer.show();
    const { waiting } = this;
    if (!waiting) return;
    if (this.box.stuck.length) this.hold(waiting);
    else if (!this.box.count) this.wait(null);
    else if (!this.box.pending.length) this.composer.submit(waiting);
  }

  // --- the draft ------------------------------------------------------------------------------------------------

  /** Keeps them in this browser, under the key of the draft. */
  save() {
    const key = filesKey(this.composer.options.draftKey());
    if (this.key && this.key !== key) remember(this.key, null); // the conversation has begun
    this.key = key;
    const kept = this.box.entries.filter((entry) => !entry.final).map(({ name, size, modified, pasted, uploadId, file, text }) => ({ name, size, modified, pasted, uploadId, file, text }));
    remember(key, kept.length ? JSON.stringify(kept) : null);
  }

  /** The draft may have another key: its conversation has begun. */
  follow() {
    if (this.key && this.key !== filesKey(this.composer.options.draftKey())) this.save();
  }

  /** Takes over what this page had before it was loaded again. */
  restore() {
    this.key = filesKey(this.composer.options.draftKey());
    let kept = [];
    try {
      kept = JSON.parse(recall(this.key) || "[]");
    } catch {
      // written by a later version
    }
    const known = new Set(kept.map((/** @type {any} */ one) => one.uploadId));
    const asked = this.asked().filter((one) => !known.has(one.uploadId ?? ""));
    for (const one of [...kept, ...asked]) this.resume(one);
  }

  /** What the address asks for: one of one's files, or an upload that was not finished. */
  asked() {
    const asked = new URLSearchParams(location.search);
    const [id, uploadId] = [asked.get("attach"), asked.get("upload")];
    if (!id && !uploadId) return [];
    asked.delete("attach");
    asked.delete("upload");
    history.replaceState(history.state, "", `${location.pathname}${asked.size ? `?${asked}` : ""}`);
    return [id ? { file: { id, name: "…", size: 0, kind: "other", state: "read" } } : { uploadId, name: "…" }];
  }

  /** @param {any} one what was kept of it */
  resume(one) {
    const { page } = this.conversation;
    const { root } = page.urls;
    const entry = this.box.make(one);
    if (entry.text !== undefined) entry.blob = new Blob([entry.text], { type: "text/plain" });
    entry.state = entry.file ? "done" : entry.blob ? "waiting" : "stopped";
    if (entry.file) entry.received = entry.sent = entry.size;
    this.box.uploads.start(entry);
    this.box.changed(entry);
    if (entry.file) {
      ask("GET", `${root}attachments/${entry.file.id}/state/`, page.csrf).then(
        (file) => this.box.update(file),
        (error) => error.status === 404 && this.lost(entry),
      );
    } else if (entry.uploadId && !entry.blob) {
      ask("GET", `${root}uploads/${entry.uploadId}/`, page.csrf).then(
        ({ name, size, received }) => {
          Object.assign(entry, { name, size, received, sent: received });
          this.box.changed(entry);
        },
        (error) => error.status === 404 && (entry.size ? Object.assign(entry, { uploadId: undefined, received: 0 }) : this.lost(entry)),
      );
    }
  }

  /** @param {Entry} entry */
  lost(entry) {
    this.box.remove(entry);
    this.box.tell(t("{name} no longer exists on the server.", { name: entry.name }));
  }
}
