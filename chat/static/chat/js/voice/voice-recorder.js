/** The microphone: asks for it and yields frames of 16 kHz PCM16. Each kind of failure has its own message. */

import { recall } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";

const RATE = 16_000;

const MESSAGES = /** @type {Record<string, string>} */ ({
  NotAllowedError: t("Your browser blocks the microphone on this site. Allow it in the site settings, then try again."),
  NotFoundError: t("No microphone found. Connect one, then try again."),
  NotReadableError: t("The microphone isn’t responding. Another program may be using it."),
  OverconstrainedError: t("This microphone can’t be used for recording."),
  AbortError: t("The microphone couldn’t be started. Try again."),
  NoSound: t("Audio couldn’t be started. Check that a speaker or headset is connected."),
  InvalidStateError: t("The microphone can’t be used while this page is in the background."),
});
const START_MS = 5_000;
const INSECURE = t("Voice recording needs a secure connection (https). You can type instead.");
const TOO_OLD = t("This browser is too old for voice recording.");
const GONE = t("The microphone was disconnected. What you said before that has been kept.");

export class Recorder {
  /**
   * @param {string} worklet the address of the audio thread's script
   * @param {(pcm: ArrayBuffer, level: number) => void} onFrame
   * @param {(message: string) => void} onEnd it ended by itself
   */
  constructor(worklet, onFrame, onEnd) {
    this.worklet = worklet;
    this.onFrame = onFrame;
    this.onEnd = onEnd;
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {AudioWorkletNode | null} */
    this.node = null;
  }

  /** Starts. Rejects with an Error whose message is for the person. */
  async start() {
    if (!isSecureContext || !navigator.mediaDevices?.getUserMedia) throw new Error(isSecureContext ? TOO_OLD : INSECURE);
    if (!("AudioWorkletNode" in window)) throw new Error(TOO_OLD);
    try {
      const chosen = recall("voice.microphone"); // one that is no longer there is no error
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...(chosen && { deviceId: { ideal: chosen } }) },
      });
      await this.connect(this.stream);
    } catch (error) {
      await this.stop();
      const name = /** @type {Error} */ (error).name;
      throw new Error(MESSAGES[name] ?? t("The microphone couldn’t be started ({error}).", { error: name }));
    }
    for (const track of this.stream.getAudioTracks()) {
      track.addEventListener("ended", () => this.stream && this.onEnd(GONE));
    }
  }

  /** @param {MediaStream} stream */
  async connect(stream) {
    this.context = new AudioContext({ sampleRate: RATE });
    let source;
    try {
      source = this.context.createMediaStreamSource(stream);
    } catch {
      // Firefox: a stream of another rate cannot be connected. The audio thread resamples then.
      await this.context.close();
      this.context = new AudioContext();
      source = this.context.createMediaStreamSource(stream);
    }
    await this.context.audioWorklet.addModule(this.worklet);
    this.node = new AudioWorkletNode(this.context, "recorder", { numberOfInputs: 1, numberOfOutputs: 0 });
    this.node.port.onmessage = ({ data }) => this.onFrame(data.pcm, data.level);
    source.connect(this.node);
    // Where the machine has no sound at all, some browsers never start.
    const silence = new Promise((_, reject) => setTimeout(() => reject(Object.assign(new Error(), { name: "NoSound" })), START_MS));
    await Promise.race([this.context.resume(), silence]);
  }

  /** Ends it: the microphone at once, also where the page is left. What the audio thread holds comes before this resolves. */
  async stop() {
    const { stream, context, node } = this;
    this.stream = this.context = this.node = null;
    for (const track of stream?.getTracks() ?? []) track.stop();
    if (node) {
      node.port.postMessage("stop");
      await new Promise((resolve) => setTimeout(resolve, 40));
      node.port.onmessage = null;
      node.disconnect();
    }
    if (context && context.state !== "closed") await context.close();
  }
}
