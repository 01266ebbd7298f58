/** What the events of a conversation's log do to the page (docs/protocol.md §2). Each may come twice without harm. */

import { noteModeration } from "antiphon/conversation/answer-notes";
import { ANNOUNCED, WAITING_FOR } from "antiphon/conversation/moderation";
import { noteSources } from "antiphon/conversation/sources";
import { updateFile } from "antiphon/files/shown";
import { showSeam } from "antiphon/conversation/seam";
import { applyStep, endSteps } from "antiphon/conversation/steps-loader";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/** @typedef {import("antiphon/wire/protocol").Message} Message */
/** @typedef {import("antiphon/conversation/transcript").Transcript} Transcript */

/**
 * @param {Transcript} transcript
 * @param {Frame} event
 * @returns {boolean} false when text before the event is missing, so that a snapshot is needed
 */
export function applyEvent(transcript, event) {
  let whole = true;
  noteSources(transcript.find(event.message_id), event);
  switch (event.type) {
    case "message.created":
    case "message.updated":
      transcript.place(event.message, event.type === "message.updated");
      break;
    case "run.queued":
    case "run.started": {
      transcript.runs.set(event.run_id, event.message_id);
      const view = transcript.find(event.message_id);
      if (!view?.active || isOfAnother(view, event)) return true;
      view.setRun(/** @type {any} */ (event));
      view.await(event.type === "run.started" ? "model" : "queue");
      if (event.type === "run.started" && view.status === "pending") view.wait(t("Thinking…"));
      break;
    }
    case "run.resumed":
      runningOf(transcript, event)?.await("queue", performance.now());
      break;
    case "run.waiting": {
      if (event.for === WAITING_FOR) transcript.runs.set(event.run_id, event.message_id);
      const view = runningOf(transcript, event);
      if (event.for === "approval" && view?.active) view.pause(event.attempt);
      if (view?.status !== "pending") return true;
      if (event.for === WAITING_FOR) {
        view.setRun(/** @type {any} */ (event));
        view.await("person");
        break;
      }
      if (event.for !== "loading" && event.for !== "model") return true;
      view.await(event.for);
      view.wait(event.for === "loading" ? t("The model is being loaded…") : t("Thinking…"));
      break;
    }
    case "run.delta":
      // No `changed`: a delta touches only the text of the answer in progress.
      return runningOf(transcript, event)?.append(event) ?? true;
    case "run.reasoning":
      return runningOf(transcript, event)?.think(event) ?? true;
    case "run.step":
    case "tool.call":
    case "tool.approval":
    case "tool.decided":
    case "tool.progress":
    case "tool.result": {
      const view = runningOf(transcript, event);
      if (view) applyStep(view, event);
      return true;
    }
    case "run.done":
    case "run.stopped":
    case "run.failed":
    case "run.interrupted": {
      const view = runningOf(transcript, event);
      if (!view?.active) return true;
      whole = view.finish(event);
      if (!view.active) endSteps(view);
      if (whole && !view.active) transcript.options.onEnd(view);
      break;
    }
    case "moderation.notice": {
      const view = transcript.find(event.message_id);
      // Its end follows, with the sentence.
      if (view?.role === "assistant") view.replaced = noteModeration(view.element, /** @type {any} */ (event));
      else if (view) transcript.options.onWords(ANNOUNCED[event.action] ?? "");
      return true;
    }
    case "answer.chosen":
      whole = transcript.choose(event.prompt_id, event.message_id, event.model);
      break;
    case "file.updated":
      updateFile(event.file);
      return true;
    case "summary.changed": {
      const view = transcript.find(event.summary.message_id);
      if (!view) return true;
      showSeam(view.element, event.summary);
      break;
    }
    default:
      return true; // a newer server says more than this page knows
  }
  transcript.changed();
  return whole;
}

/** The answer that a run writes, unless another run has continued it since. @param {Transcript} transcript @param {Frame} event */
function runningOf(transcript, event) {
  const id = event.message_id ?? transcript.runs.get(event.run_id);
  const view = id ? transcript.find(id) : undefined;
  return view && isOfAnother(view, event) ? undefined : view;
}

/** Whether an event is of another run than the one that writes the answer now. @param {import("antiphon/conversation/message").MessageView} view @param {Frame} event */
function isOfAnother(view, event) {
  return Boolean(view.runId) && event.run_id !== view.runId;
}

/**
 * Brings answers side by side level with a snapshot: the newest at each place.
 * @param {Transcript} transcript @param {Message[]} messages @returns {boolean} false when it does not have them all
 */
function placeBeside(transcript, messages) {
  const { beside } = transcript;
  if (!beside) return true;
  const answers = messages.filter((message) => message.slot && message.parent_id === beside.promptId);
  const newest = new Map(answers.map((message) => [message.slot, message]));
  for (const message of newest.values()) if (!transcript.find(message.id)) transcript.place(message);
  const size = messages.find((message) => message.id === beside.promptId)?.comparison?.size ?? beside.size;
  return beside.columns.length >= size;
}

/**
 * Brings the page level with a snapshot: the newest messages of all branches.
 * @param {Transcript} transcript
 * @param {{messages: Message[], tip?: string | null}} snapshot `tip`: the end of the reader's branch
 * @returns {boolean} false when it does not reach back to what the page shows: load the page again
 */
export function applySnapshot(transcript, snapshot) {
  const byId = new Map(snapshot.messages.map((message) => [message.id, message]));
  for (const message of snapshot.messages) {
    transcript.find(message.id)?.assign(message);
    if (message.run) transcript.runs.set(message.run.run_id, message.id);
    if (message.comparison?.chosen && !transcript.choose(message.id, message.comparison.chosen)) return false;
    if (message.comparison && !message.comparison.chosen) transcript.choices.set(message.id, "");
  }
  if (transcript.isPartial) return true; // the end is loaded when the reader goes there
  let newest = byId.get(snapshot.tip ?? "") ?? snapshot.messages.at(-1);
  if (!newest) return transcript.path.length === 0;
  const chosen = newest.slot ? transcript.choices.get(newest.parent_id ?? "") : "";
  newest = (chosen && byId.get(chosen)) || newest;
  if (transcript.following) {
    /** @type {Message[]} */
    const missing = [];
    /** @type {Message | undefined} */
    let at = newest;
    while (at && !transcript.find(at.id)) {
      missing.unshift(at);
      if (at.parent_id && !byId.has(at.parent_id) && !transcript.find(at.parent_id)) return false;
      at = at.parent_id ? byId.get(at.parent_id) : undefined;
    }
    for (const message of missing) transcript.place(message, false, true);
    transcript.tip = newest.id;
  }
  if (!placeBeside(transcript, snapshot.messages)) return false;
  transcript.changed();
  return true;
}
