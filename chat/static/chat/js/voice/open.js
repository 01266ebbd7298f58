/** Voice input and calls, which are loaded when they are first wanted: by their buttons, or by Alt + V. */

import { isComposing } from "antiphon/lib/keys";
import { t } from "antiphon/lib/texts";
import { showNote } from "antiphon/conversation/status";
import { remember } from "antiphon/lib/storage";

/** @typedef {import("antiphon/voice/voice").Voice} Voice */

/**
 * Without speech recognition on the server there is no button.
 * @param {import("antiphon/conversation/conversation").Conversation} conversation @param {import("antiphon/voice/speech-playback").SpeechPlayback | null} playback
 */
export function startVoice(conversation, playback) {
  // What was chosen for the account, on whichever device.
  for (const [name, value] of Object.entries(conversation.page.voice ?? {})) remember(`voice.${name}`, value);
  const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("mic"));
  if (!button) return;
  const call = document.getElementById("call");
  const first = new AbortController(); // of what listens until it is loaded
  const { signal } = first;
  let loading = false;
  let held = false;

  /** @param {(voice: Voice) => unknown} use what was wanted first */
  const load = async (use) => {
    if (loading) return;
    loading = true;
    try {
      const { Voice } = await import("antiphon/voice/voice");
      first.abort();
      use(new Voice(conversation, button, playback));
    } catch {
      loading = false;
      showNote(t("The server can’t be reached. Try again in a moment."));
    }
  };

  button.addEventListener("click", () => load((voice) => voice.start("auto")), { signal });
  call?.addEventListener("click", () => load((voice) => voice.openCall(call)), { signal });
  document.addEventListener("keydown", (event) => {
    if (isComposing(event) || event.code !== "KeyV" || !event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (event.repeat) return;
    held = true;
    void load((voice) => held && voice.startHeld());
  }, { signal, capture: true });
  document.addEventListener("keyup", (event) => {
    if (event.code === "KeyV" || event.key === "Alt") held = false;
  }, { signal, capture: true });
}
