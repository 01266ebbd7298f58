/** Who else is here, and who types or speaks, in a conversation of several people. */

import { showAudience } from "antiphon/conversation/audience";
import { isolate, nameElement } from "antiphon/lib/names";
import { LOCALE, t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

const TYPING_MS = 5_000; // after the last sign of it
const SEND_MS = 2_500; // between two signs of one's own
const MOST_SHOWN = 3;

export class Presence {
  /**
   * @param {any} page what the server put into the page
   * @param {(frame: any) => void} send
   */
  constructor(page, send) {
    this.page = page;
    this.send = send;
    this.here = /** @type {HTMLElement} */ (document.getElementById("here"));
    this.line = /** @type {HTMLElement} */ (document.getElementById("typing"));
    /** Who types or speaks, and the timer that ends it. @type {Map<string, {name: string, speaking: boolean, timer: number}>} */
    this.typing = new Map();
    this.sent = -SEND_MS;
    this.due = 0; // the timer of the next sign
    this.field = /** @type {HTMLTextAreaElement} */ (document.getElementById("text"));
    this.field.addEventListener("input", () => this.typed());
  }

  /** @param {Frame} frame `presence`, `typing` or `audience` */
  receive(frame) {
    if (frame.type === "presence") this.show(frame);
    else if (frame.type === "audience") showAudience(frame.watchers);
    else this.note(frame);
  }

  /** @param {Frame} frame `presence` */
  show(frame) {
    const others = frame.users.filter((/** @type {any} */ one) => one.id !== this.page.user.id);
    const marks = others.slice(0, MOST_SHOWN).map((/** @type {any} */ one) => avatar(one.name));
    if (others.length > MOST_SHOWN) marks.push(avatar(`+${others.length - MOST_SHOWN}`, `+${others.length - MOST_SHOWN}`));
    this.here.replaceChildren(...marks);
    const names = others.map((/** @type {any} */ one) => isolate(one.name)).join(", ");
    this.here.title = names ? t("Here: {names}", { names }) : "";
    const words = /** @type {HTMLElement} */ (document.getElementById("here-words"));
    words.textContent = names ? t("Here: {names}", { names }) : "";
  }

  /** @param {Frame} frame `typing` */
  note(frame) {
    const { id, name } = frame.user;
    if (id === this.page.user.id) return;
    clearTimeout(this.typing.get(id)?.timer);
    this.typing.set(id, { name, speaking: Boolean(frame.speaking), timer: setTimeout(() => this.forget(id), TYPING_MS) });
    this.render();
  }

  /** This person sent a message or left. @param {string | undefined} id */
  forget(id) {
    if (!id || !this.typing.has(id)) return;
    clearTimeout(this.typing.get(id)?.timer);
    this.typing.delete(id);
    this.render();
  }

  render() {
    const all = [...this.typing.values()];
    const speaking = all.some((one) => one.speaking);
    const names = all.filter((one) => one.speaking === speaking).map((one) => one.name);
    const listed = new Intl.ListFormat(LOCALE).formatToParts(names);
    const who = listed.map(({ type, value }) => (type === "element" ? nameElement(value) : value));
    // The sentence with a mark where the names go, each an element of its own.
    const mark = { names: "\u0000" };
    const sentence = speaking ? tn("{names} is speaking…", "{names} are speaking…", names.length, mark) : tn("{names} is typing…", "{names} are typing…", names.length, mark);
    const [before, after] = sentence.split("\u0000");
    const words = names.length > 3 && !speaking ? [tn("{count} person is typing…", "{count} people are typing…", names.length)] : [before, ...who, after];
    this.line.replaceChildren(...(names.length ? words.filter(Boolean) : []));
    this.line.hidden = !names.length;
  }

  get alone() {
    return (this.page.members ?? []).length < 2 || !this.page.conversation_id;
  }

  /** This person speaks: the others are told, now and then. */
  spoke() {
    if (this.alone || performance.now() < this.sent + SEND_MS) return;
    this.sent = performance.now();
    this.send({ type: "typing", conversation_id: this.page.conversation_id, speaking: true });
  }

  /** Tells the others, where there are some: at once, or as soon as the next sign may be sent. */
  typed() {
    clearTimeout(this.due);
    if (this.alone || !this.field.value) return; // a sent message empties the field
    const wait = this.sent + SEND_MS - performance.now();
    if (wait > 0) {
      this.due = setTimeout(() => this.typed(), wait);
      return;
    }
    this.sent = performance.now();
    this.send({ type: "typing", conversation_id: this.page.conversation_id });
  }
}

/** The first character that a reader sees of a name. @param {string} name */
export function initial(name) {
  const [first] = new Intl.Segmenter().segment(name.trim());
  return (first?.segment ?? "?").toLocaleUpperCase();
}

/** @param {string} name @param {string} [words] */
function avatar(name, words) {
  const mark = document.createElement("span");
  mark.className = "avatar";
  mark.textContent = words ?? initial(name);
  mark.title = name;
  return mark;
}
