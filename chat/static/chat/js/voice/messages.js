/** What the user is told about a recording, and durations as text. Pure. */

export const CONNECTION_LOST = "The connection was lost while you were speaking. What you said before that has been kept.";
export const NOT_CONNECTED = "There is no connection right now. You can type; your draft is saved.";

/** By the code of an `audio.warning`. @type {Record<string, (ms: number) => string>} */
export const WARNINGS = {
  audio_dropped: (ms) => `Speech recognition was too slow: ${seconds(ms)} of your speech was lost.`,
  audio_gap: (ms) => `The connection was too slow: ${seconds(ms)} of your speech was lost.`,
  falling_behind: () => "Still transcribing…",
};

/** By the reason of an `audio.closed` that has no message of its own. @type {Record<string, string>} */
export const ENDINGS = {
  limit: "The recording reached its maximum length. Start another one to continue.",
  idle: "The recording was stopped because no audio arrived from the microphone.",
  worker_stopped: "The server is restarting. What you said has been kept. Start again in a moment.",
};

/** @param {number} ms @returns {string} minutes and seconds, as `1:05` */
export function clock(ms) {
  const all = Math.floor(ms / 1000);
  return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
}

/** @param {number} ms */
function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
