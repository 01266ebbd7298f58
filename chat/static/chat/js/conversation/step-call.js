/** One call of a tool in the page: a line that opens, with its arguments, its result and the files that it made. */

import { unseenWords } from "antiphon/conversation/abilities";
import { aboutWords, spellMs, spellSize, stateWords, titleWords } from "antiphon/conversation/step-words";
import { confirmOn, copyText } from "antiphon/conversation/code";

/** @typedef {import("antiphon/wire/protocol").ToolCall} ToolCall */

const ENDED = new Set(["ok", "error", "denied", "cancelled", "unknown"]);
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const LARGEST_PICTURE = 5_000_000; // bytes
const OWN_IMAGES = "image"; // the name of a call that has images which the model made itself (chat/eventlog/own_tools.py)

export class CallView {
  /** @param {HTMLDetailsElement} element with a line of progress and a list of files after it */
  constructor(element) {
    this.element = element;
    this.id = element.dataset.call ?? "";
    this.progress = /** @type {HTMLElement} */ (element.nextElementSibling);
    this.files = /** @type {HTMLElement} */ (this.progress.nextElementSibling);
    this.model = ""; // the answer's
    this.since = 0; // it runs since then, by performance.now(); 0: it does not
    this.drawn = false; // what the viewers show is of now
    const [sent, output] = this.texts;
    this.arguments = sent.textContent ?? "";
    this.output = output.textContent ?? "";
    this.chars = Number(output.dataset.chars) || 0;
    element.addEventListener("toggle", () => this.draw());
    element.addEventListener("click", (event) => this.clicked(event));
    for (const link of this.files.querySelectorAll("a")) this.showPicture(link);
    this.setStatus(this.status);
  }

  /** @param {string} name @returns {HTMLElement} */
  part(name) {
    return /** @type {HTMLElement} */ (this.element.querySelector(`.call-${name}`));
  }

  get texts() {
    return /** @type {HTMLElement[]} */ ([...this.element.querySelectorAll(".call-text")]);
  }

  get status() {
    return this.element.dataset.status ?? "";
  }

  get ended() {
    return ENDED.has(this.status);
  }

  get title() {
    return this.part("title").textContent ?? "";
  }

  /** Takes over what the server says of it; what it leaves out stays. @param {Partial<ToolCall>} call */
  assign(call) {
    if (call.title) this.part("title").textContent = titleWords({ title: call.title, server: call.server });
    if (call.name) this.element.dataset.name = call.name;
    if (call.server !== undefined) this.part("server").textContent = call.server;
    if (call.effect) this.element.toggleAttribute("data-writes", call.effect === "writes");
    if (call.arguments !== undefined && call.arguments !== this.arguments) {
      this.arguments = call.arguments;
      this.part("about").textContent = aboutWords(call.arguments);
      this.drawn = false;
    }
    if (call.output !== undefined && call.output !== this.output) {
      this.output = call.output;
      this.drawn = false;
    }
    if (call.output_chars !== undefined) this.chars = call.output_chars;
    if (call.files) this.showFiles(call.files);
    if (call.status) this.setStatus(call.status, call.ms);
    this.part("arguments").hidden = !this.arguments;
    this.part("output").hidden = !this.output;
    this.draw();
  }

  /** @param {string} status @param {number} [ms] how long it took, of one that has ended */
  setStatus(status, ms) {
    this.element.dataset.status = status;
    this.part("state").textContent = stateWords(status);
    if (status === "running" && !this.since) this.since = performance.now();
    if (status !== "running") this.since = 0;
    if (ms !== undefined) this.part("time").textContent = spellMs(ms);
    if (this.ended) this.tell("");
  }

  /** Whole seconds: the rest is known when it has ended. */
  tick() {
    const seconds = this.since ? Math.floor((performance.now() - this.since) / 1_000) : 0;
    if (seconds) this.part("time").textContent = spellMs(Math.max(seconds * 1_000, 1_000)).replace(".0", "");
  }

  /** What it is doing. @param {string} sentence */
  tell(sentence) {
    this.progress.textContent = sentence;
    this.progress.hidden = !sentence;
  }

  /** @param {NonNullable<ToolCall["files"]>} files */
  showFiles(files) {
    this.files.replaceChildren(...files.map((file) => {
      const link = document.createElement("a");
      link.className = "file-chip";
      link.href = `/files/${encodeURIComponent(file.id)}/`;
      link.download = file.name;
      link.dataset.mediaType = file.media_type;
      const icon = /** @type {Node} */ (this.element.querySelector("[data-copy-call] .icon")?.cloneNode(true));
      const use = /** @type {Element} */ (icon).querySelector("use");
      use?.setAttribute("href", (use.getAttribute("href") ?? "").replace("#copy", "#save"));
      const [name, size] = [document.createElement("span"), document.createElement("small")];
      name.dir = "auto";
      name.textContent = file.name;
      size.textContent = spellSize(file.size);
      link.append(icon, name, " ", size);
      if (file.size <= LARGEST_PICTURE) this.showPicture(link);
      const item = document.createElement("li");
      item.append(link);
      return item;
    }));
    this.files.hidden = !files.length;
    this.noteUnseen();
  }

  /** Says it where the model did not see the images that the call returned. */
  noteUnseen() {
    const returned = this.element.dataset.name === OWN_IMAGES ? [] : this.files.querySelectorAll('a[data-media-type^="image/"]');
    const words = unseenWords(this.model, returned.length);
    const note = this.files.querySelector(".call-unseen") ?? Object.assign(document.createElement("li"), { className: "call-unseen" });
    note.textContent = words;
    if (words) this.files.append(note);
    else note.remove();
  }

  /** @param {HTMLAnchorElement} link */
  showPicture(link) {
    if (!PICTURES.has(link.dataset.mediaType ?? "") || link.querySelector("img")) return;
    const picture = document.createElement("img");
    picture.loading = "lazy";
    picture.alt = "";
    picture.src = link.href;
    picture.addEventListener("error", () => picture.remove());
    link.prepend(picture);
    link.classList.add("has-picture");
  }

  /** Shows arguments and result, once it is open. */
  draw() {
    if (!this.element.open || this.drawn) return;
    this.drawn = true;
    const [sent, output] = this.texts;
    const [asked, result, chars] = [this.arguments, this.output, this.chars];
    import("antiphon/conversation/step-viewer").then(
      ({ showValue }) => {
        showValue(sent, asked, asked.length);
        showValue(output, result, chars);
      },
      () => ([sent.textContent, output.textContent] = [asked, result]), // offline
    );
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-copy-call]"));
    if (!button) return;
    const text = button.closest(".call-arguments") ? this.arguments : this.output;
    const sprite = (button.querySelector("use")?.getAttribute("href") ?? "").split("#")[0];
    copyText(text).then(() => confirmOn(button, sprite), () => {});
  }
}
