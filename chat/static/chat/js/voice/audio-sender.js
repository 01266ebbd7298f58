/** Sends a recording's audio in numbered frames (docs/protocol.md). What waits too long is dropped, oldest first. */

const FRAME_MS = 100;
const WAITING_FRAMES = 20; // 2 s
const BUFFERED_BYTES = 64 * 1024;
const HEADER_BYTES = 8;

export class AudioSender {
  /** @param {WebSocket | null} wire the connection that the recording began on; it ends with it */
  constructor(wire) {
    this.wire = wire;
    /** The stream's number, from the reply to `audio.start`; null before. @type {number | null} */
    this.stream = null;
    this.number = 0; // of the next frame
    /** @type {ArrayBuffer[]} */
    this.waiting = [];
  }

  /** Milliseconds of audio so far, dropped frames included. */
  get duration() {
    return this.number * FRAME_MS;
  }

  /** @param {ArrayBuffer} pcm */
  add(pcm) {
    this.waiting.push(pcm);
  }

  /** Sends as much as the connection takes. A gap in the numbers tells the server what is missing. */
  flush() {
    while (this.wire && this.stream !== null && this.waiting.length && this.wire.bufferedAmount < BUFFERED_BYTES) {
      const pcm = /** @type {ArrayBuffer} */ (this.waiting.shift());
      const frame = new Uint8Array(HEADER_BYTES + pcm.byteLength);
      const header = new DataView(frame.buffer);
      header.setUint8(0, 1);
      header.setUint16(2, this.stream);
      header.setUint32(4, this.number++);
      frame.set(new Uint8Array(pcm), HEADER_BYTES);
      this.wire.send(frame);
    }
    while (this.waiting.length > WAITING_FRAMES) {
      this.waiting.shift();
      this.number += 1;
    }
  }
}
