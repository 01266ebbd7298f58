/**
 * The steps of an answer, above its text: each call of a tool is a line, and several that run side by side fold to one.
 * Each event may come twice without harm. What tools wrote is text here, never HTML.
 */

import { showWithModels } from "antiphon/conversation/abilities";
import { CallView } from "antiphon/conversation/step-call";
import { groupWords, spellMs } from "antiphon/conversation/step-words";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/wire/protocol").Step} Step */

const TICK_MS = 1_000;
const SAID_AFTER_MS = 300; // calls that begin or end together are told in one sentence

export class StepsView {
  /** @param {Element} message @param {(words: string) => void} say tells a screen reader */
  constructor(message, say) {
    this.message = message;
    this.say = say;
    this.root = /** @type {HTMLElement | null} */ (message.querySelector(":scope > .steps"));
    /** @type {Map<string, CallView>} */
    this.calls = new Map();
    /** Titles of calls that began, and sentences about others that ended, since a screen reader was told. @type {{begun: string[], ended: string[]}} */
    this.news = { begun: [], ended: [] };
    this.failed = 0; // of those that ended
    this.sayTimer = this.timer = 0;
    for (const element of this.root?.querySelectorAll(".step-call") ?? []) this.adopt(/** @type {HTMLDetailsElement} */ (element));
    for (const group of this.groups) this.bind(group);
    this.tick();
  }

  get groups() {
    return /** @type {HTMLDetailsElement[]} */ ([...(this.root?.children ?? [])]);
  }

  /** @param {HTMLDetailsElement} element */
  adopt(element) {
    const call = new CallView(element);
    this.calls.set(call.id, call);
    showWithModels(element, () => {
      call.model = /** @type {HTMLElement} */ (this.message).dataset.model ?? "";
      call.noteUnseen();
    });
    return call;
  }

  /** The blank part of the page's template. @param {string} selector */
  blank(selector) {
    const blank = /** @type {HTMLTemplateElement} */ (document.getElementById("blank-steps"));
    return /** @type {HTMLElement} */ (blank.content.querySelector(selector)?.cloneNode(true));
  }

  /** The group of a step, made where there is none. @param {number} number */
  group(number) {
    const known = this.groups.find((group) => Number(group.dataset.step) === number);
    if (known) return known;
    if (!this.root) {
      this.root = this.blank(".steps");
      this.root.replaceChildren();
      this.message.querySelector(":scope > .message-body")?.before(this.root);
    }
    const made = /** @type {HTMLDetailsElement} */ (this.blank(".step-group"));
    made.dataset.step = String(number);
    made.dataset.status = "running";
    made.querySelector(".step-calls")?.replaceChildren();
    const next = this.groups.find((group) => Number(group.dataset.step) > number) ?? null;
    this.root.insertBefore(made, next);
    this.bind(made);
    made.open = true; // while it runs
    return made;
  }

  /** @param {HTMLDetailsElement} group */
  bind(group) {
    group.querySelector("summary")?.addEventListener("click", () => (group.dataset.touched = "")); // it stays as the reader has it
  }

  /** Brings it level with a snapshot. @param {Step[]} steps */
  assign(steps) {
    const shown = steps.filter((step) => step.calls?.length);
    const numbers = new Set(shown.map((step) => step.step));
    for (const group of this.groups) if (!numbers.has(Number(group.dataset.step))) this.drop(group);
    for (const step of shown) {
      for (const call of step.calls ?? []) this.place(call, step.step).assign(call);
      this.setStep(step);
    }
    this.tick();
  }

  /** @param {HTMLElement} group */
  drop(group) {
    for (const element of group.querySelectorAll(".step-call")) this.calls.delete(/** @type {HTMLElement} */ (element).dataset.call ?? "");
    group.remove();
  }

  /** @param {Frame} event */
  apply(event) {
    const call = event.call_id ? this.calls.get(event.call_id) : undefined;
    switch (event.type) {
      case "run.step":
        this.setStep(/** @type {any} */ (event));
        break;
      case "tool.call": {
        const placed = this.place(/** @type {any} */ (event), event.step);
        if (placed.ended) break;
        placed.assign({ ...event, status: placed.status || "asked" });
        if (!call) this.tell("begun", placed.title);
        this.setStep({ step: event.step, status: "running" });
        break;
      }
      case "tool.approval":
        if (call && !call.ended) call.assign({ arguments: event.arguments, status: "waiting" });
        break;
      case "tool.decided":
        if (!call || call.ended) break;
        if (event.arguments) call.assign({ arguments: event.arguments }); // as they were edited
        call.setStatus(event.decision === "deny" ? "denied" : "allowed");
        break;
      case "tool.progress":
        if (!call || call.ended) break;
        call.setStatus("running");
        call.tell(event.text);
        break;
      case "tool.result": {
        if (!call) break;
        const first = !call.ended;
        const told = call.progress.textContent;
        if (event.step !== undefined) this.place(/** @type {any} */ (event), event.step);
        call.assign(/** @type {any} */ (event));
        if (first && call.status === "error") this.failed += 1;
        if (first) this.tell("ended", resultWords(call, told ?? ""));
        this.count(/** @type {HTMLElement} */ (call.element.closest(".step-group")));
        break;
      }
      default:
    }
    this.tick();
  }

  /** The view of a call, in its step. @param {{call_id: string}} call @param {number} step */
  place(call, step) {
    const known = this.calls.get(call.call_id);
    const group = this.group(step);
    const list = /** @type {HTMLElement} */ (group.querySelector(".step-calls"));
    if (known && list.contains(known.element)) return known;
    const from = known?.element.closest(".step-group");
    const view = known ?? this.make(call.call_id);
    list.append(view.element, view.progress, view.files);
    if (from && !from.querySelector(".step-call")) from.remove();
    else if (from) this.count(/** @type {HTMLElement} */ (from));
    this.count(group);
    return view;
  }

  /** @param {string} id */
  make(id) {
    const list = this.blank(".step-calls");
    const element = /** @type {HTMLDetailsElement} */ (list.querySelector(".step-call"));
    element.dataset.call = id;
    return this.adopt(element);
  }

  /** How a step is. One that ends folds, unless the reader has opened or closed it. @param {{step: number, status: string, ms?: number}} step */
  setStep(step) {
    const group = this.groups.find((one) => Number(one.dataset.step) === step.step);
    if (!group) return; // it has no calls, or they are told later
    const ends = group.dataset.status === "running" && step.status !== "running";
    group.dataset.status = step.status;
    for (const call of this.callsOf(group)) {
      if (step.status === "running" && ["asked", "allowed"].includes(call.status)) call.setStatus("running");
      if (ends && !call.ended && call.status !== "waiting" && step.status === "cancelled") call.setStatus("cancelled");
    }
    const time = group.querySelector(".step-time");
    if (time) time.textContent = spellMs(step.ms);
    this.count(group);
    if (ends && !("single" in group.dataset) && !("touched" in group.dataset) && !group.contains(document.activeElement)) group.open = false;
  }

  /** @param {Element} group */
  callsOf(group) {
    return [...group.querySelectorAll(".step-call")].flatMap((one) => this.calls.get(/** @type {HTMLElement} */ (one).dataset.call ?? "") ?? []);
  }

  /** @param {HTMLElement} group */
  count(group) {
    const calls = this.callsOf(group);
    const words = group.querySelector(".step-words");
    if (words) words.textContent = groupWords(calls.map((call) => call.status));
    group.toggleAttribute("data-single", calls.length < 2);
    if (calls.length < 2) /** @type {HTMLDetailsElement} */ (group).open = true;
  }

  /** What did not end by itself was cancelled with the run. */
  end() {
    for (const call of this.calls.values()) if (!call.ended) call.setStatus("cancelled");
    for (const group of this.groups) if (group.dataset.status === "running") this.setStep({ step: Number(group.dataset.step), status: "cancelled" });
    this.tick();
  }

  /** Shows the seconds of what runs, while something does. */
  tick() {
    const running = [...this.calls.values()].filter((call) => call.since);
    for (const call of running) call.tick();
    if (running.length && this.message.isConnected) this.timer ||= setInterval(() => this.tick(), TICK_MS);
    else {
      clearInterval(this.timer);
      this.timer = 0;
    }
  }

  /** @param {"begun" | "ended"} what @param {string} words */
  tell(what, words) {
    this.news[what].push(words);
    this.sayTimer ||= setTimeout(() => {
      const { begun, ended } = this.news;
      this.sayTimer = 0;
      this.news = { begun: [], ended: [] };
      if (begun.length) this.say(begun.length === 1 ? t("Using a tool: {tool}.", { tool: begun[0] }) : tn("Using {count} tool.", "Using {count} tools.", begun.length));
      const { failed } = this;
      this.failed = 0;
      const counted = tn("{count} tool has ended.", "{count} tools have ended.", ended.length);
      if (ended.length) this.say(ended.length === 1 ? ended[0] : failed ? `${counted} ${tn("{count} failed.", "{count} failed.", failed)}` : counted);
    }, SAID_AFTER_MS);
  }
}

/** What a screen reader is told of a call that has ended. @param {CallView} call @param {string} told its last sentence of progress */
function resultWords(call, told) {
  if (call.status === "ok") return t("{tool}: done.", { tool: told ? told.replace(/[.…]+$/, "") : call.title });
  if (call.status === "error") return t("Failed: {tool}.", { tool: call.title });
  if (call.status === "denied") return t("{tool}: denied.", { tool: call.title });
  if (call.status === "cancelled") return t("{tool}: cancelled.", { tool: call.title });
  return t("{tool}: it may have happened.", { tool: call.title });
}
