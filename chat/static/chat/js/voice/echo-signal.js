/**
 * Tells the loudspeaker's sound in the microphone from a person's, by how loud both were: an echo rises and falls with
 * what is played, a little later. Pure; times are milliseconds of one clock, levels are 0 to 1.
 */

/** @typedef {{at: number, level: number}} Loudness of 20 ms that begin at `at` */

export const STEP_MS = 20;
const WINDOW_MS = 800; // of the microphone that are compared
const LATEST_MS = 400; // an echo comes at most so much later than what was played
const ALIKE = 0.75; // correlation from which on it is an echo
const QUIET = 0.002; // nothing was played

/** The loudness of each 20 ms of PCM16. @param {Int16Array} pcm @param {number} rate Hz @param {number} at when it begins @returns {Loudness[]} */
export function loudness(pcm, rate, at) {
  const size = Math.round((rate * STEP_MS) / 1_000);
  /** @type {Loudness[]} */
  const found = [];
  for (let start = 0; start + size <= pcm.length; start += size) {
    let energy = 0;
    for (let i = start; i < start + size; i += 1) energy += (pcm[i] / 32_768) ** 2;
    found.push({ at: at + (start / rate) * 1_000, level: Math.sqrt(energy / size) });
  }
  return found;
}

/** Levels in steps of 20 ms from `from` on; 0 where there are none. @param {Loudness[]} levels @param {number} from @param {number} count */
function steps(levels, from, count) {
  const row = new Array(count).fill(0);
  for (const { at, level } of levels) {
    const place = Math.round((at - from) / STEP_MS);
    if (place >= 0 && place < count) row[place] = level;
  }
  return row;
}

/** @param {number[]} one @param {number[]} other @param {number} shift */
function correlation(one, other, shift) {
  const n = one.length;
  let [a, b, ab, aa, bb] = [0, 0, 0, 0, 0];
  for (let i = 0; i < n; i += 1) {
    const [x, y] = [one[i], other[i + shift]];
    a += x;
    b += y;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  const spread = Math.sqrt(Math.max(0, aa - (a * a) / n) * Math.max(0, bb - (b * b) / n));
  return spread > 1e-9 ? (ab - (a * b) / n) / spread : 0;
}

/**
 * Whether what the microphone picked up of late is what was played.
 * @param {Loudness[]} heard by the microphone @param {Loudness[]} played
 */
export function isEchoSignal(heard, played) {
  const last = heard.at(-1)?.at;
  if (last === undefined) return false;
  const count = WINDOW_MS / STEP_MS;
  const most = LATEST_MS / STEP_MS;
  const from = last - WINDOW_MS + STEP_MS;
  const mine = steps(heard, from, count);
  const theirs = steps(played, from - LATEST_MS, count + most);
  if (Math.max(...theirs) < QUIET) return false;
  for (let shift = 0; shift <= most; shift += 1) if (correlation(mine, theirs, shift) >= ALIKE) return true;
  return false;
}
