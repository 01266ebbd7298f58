/** The steps and sources of an answer on the page of a live share, drawn as members see them. */

import { assignSources, noteSources, showSources } from "antiphon/conversation/sources";
import { adoptSteps, assignSteps, endSteps, loadSteps } from "antiphon/conversation/steps-loader";

/** A message's view. @typedef {any} View */

export const EVENTS = new Set(["run.step", "tool.call", "tool.approval", "tool.decided", "tool.progress", "tool.result"]);

/** @param {string} words told to a screen reader */
export function say(words) {
  const region = document.getElementById("announcer");
  if (region) region.textContent = words;
}

/** Takes over what the server has put into the page. @param {View} view */
export function adopt(view) {
  adoptSteps(view.element, say);
}

/** What a snapshot says: calls without a title have only sources for readers. @param {View} view @param {any} run @param {boolean} shown false: the message is withheld */
export function assign(view, run, shown) {
  view.element.querySelector(".sources")?.remove();
  const steps = /** @type {any[]} */ ((shown && run?.steps) || []);
  assignSteps(view, /** @type {any} */ ({ steps: steps.filter((step) => step.calls?.some((/** @type {any} */ call) => call.title)) }));
  if (shown) assignSources(view, run);
}

/** An event of a step or a call. @param {View} view @param {any} event */
export function apply(view, event) {
  noteSources(view, event);
  if (event.type === "tool.result" && event.output === undefined) return; // the link shows only its sources
  if (event.type === "run.step" && event.kind === "model") return;
  loadSteps(view.element, say).then((steps) => steps.apply(event)).catch(() => {});
}

/** The run has ended, and the answer's HTML is shown. @param {View} view */
export function end(view) {
  endSteps(view);
  showSources(view);
}
