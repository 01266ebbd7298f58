/** Stops answers that are in progress. */

import { showNote } from "antiphon/conversation/status";

/** @typedef {import("antiphon/conversation/message").MessageView} MessageView */

/**
 * Stops all answers in progress, or those of `views`; what the server refuses is shown.
 * @param {import("antiphon/conversation/conversation").Conversation} conversation @param {MessageView[]} [views]
 */
export async function stopAnswers(conversation, views = conversation.transcript.allRunning) {
  const { socket, stopping } = conversation;
  const runs = views.map((view) => view.runId).filter((run) => run && !stopping.has(run));
  for (const run of runs) stopping.add(run);
  conversation.changed();
  const stopped = await Promise.allSettled(runs.map((run) => socket.request({ type: "run.stop", run_id: run })));
  for (const [index, one] of stopped.entries()) {
    if (one.status === "fulfilled") continue;
    stopping.delete(runs[index]);
    conversation.changed();
    showNote(one.reason.message);
  }
}
