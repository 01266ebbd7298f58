/** What the user is told about a recording, and durations as text. Pure. */

import { oneDigit, t } from "antiphon/lib/texts";

export const CONNECTION_LOST = t("The connection was lost while you were speaking. What you said before that has been kept.");
export const NOT_CONNECTED = t("There is no connection right now. You can type; your draft is saved.");

/** By the code of an `audio.warning`. @type {Record<string, (ms: number) => string>} */
export const WARNINGS = {
  audio_dropped: (ms) => t("Speech recognition was too slow: {time} of your speech was lost.", { time: seconds(ms) }),
  audio_gap: (ms) => t("The connection was too slow: {time} of your speech was lost.", { time: seconds(ms) }),
  falling_behind: () => t("Still transcribing…"),
};

/** By the reason of an `audio.closed` that has no message of its own. @type {Record<string, string>} */
export const ENDINGS = {
  limit: t("The recording reached its maximum length. Start another one to continue."),
  idle: t("The recording was stopped because no audio arrived from the microphone."),
  worker_stopped: t("The server is restarting. What you said has been kept. Start again in a moment."),
};

/** @param {number} ms @returns {string} minutes and seconds, as `1:05` */
export function clock(ms) {
  const all = Math.floor(ms / 1000);
  return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
}

/** @param {number} ms */
function seconds(ms) {
  return t("{seconds} s", { seconds: oneDigit(ms / 1000) });
}
