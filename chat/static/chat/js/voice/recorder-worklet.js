/**
 * Runs on the audio thread: the microphone's samples to frames of 100 ms, 16 kHz, mono, 16 bit.
 * Where the browser gives another rate (Firefox, always the device's), a windowed sinc filters and resamples;
 * taking every n-th sample alone would fold everything above 8 kHz into the speech.
 */

const RATE = 16_000;
const FRAME = RATE / 10;
const HALF = 16; // taps on each side, at the output's rate

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / RATE; // input samples for one of output
    this.reach = Math.ceil(HALF * Math.max(1, this.step));
    /** @type {Float32Array} */
    this.input = new Float32Array(this.reach); // begins with silence
    this.at = this.reach; // where in `input` the next output sample lies
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.energy = 0;
    this.open = true;
    this.port.onmessage = () => {
      this.flush();
      this.open = false;
    };
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const channels = inputs[0] ?? [];
    if (channels.length && this.open) {
      const mixed = new Float32Array(channels[0].length);
      for (const channel of channels) for (let i = 0; i < mixed.length; i++) mixed[i] += channel[i] / channels.length;
      if (this.step === 1) for (const sample of mixed) this.put(sample);
      else this.resample(mixed);
    }
    return this.open;
  }

  /** @param {Float32Array} fresh */
  resample(fresh) {
    const joined = new Float32Array(this.input.length + fresh.length);
    joined.set(this.input);
    joined.set(fresh, this.input.length);
    while (this.at + this.reach < joined.length) {
      this.put(this.sampleAt(joined));
      this.at += this.step;
    }
    const spent = Math.max(0, Math.floor(this.at) - this.reach);
    this.input = joined.slice(spent);
    this.at -= spent;
  }

  /** @param {Float32Array} samples */
  sampleAt(samples) {
    const width = Math.max(1, this.step);
    let sum = 0;
    let weights = 0;
    for (let i = Math.ceil(this.at - this.reach); i <= this.at + this.reach; i++) {
      const x = (i - this.at) / width;
      const weight = (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)) * (0.5 + 0.5 * Math.cos((Math.PI * x) / HALF));
      sum += samples[i] * weight;
      weights += weight;
    }
    return sum / weights;
  }

  /** @param {number} sample */
  put(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.energy += clipped * clipped;
    this.frame[this.filled++] = Math.round(clipped * 32767);
    if (this.filled === FRAME) this.flush();
  }

  flush() {
    if (this.filled < FRAME / 5) return; // the server takes frames from 20 ms on
    const pcm = this.frame.slice(0, this.filled).buffer;
    this.port.postMessage({ pcm, level: Math.sqrt(this.energy / this.filled) }, [pcm]);
    this.filled = 0;
    this.energy = 0;
  }
}

registerProcessor("recorder", Recorder);
