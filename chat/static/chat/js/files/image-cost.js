/**
 * How many tokens an image costs, before it is sent: by the formula that a model's vendor has published, else estimated
 * as the server does (workers/providers/token_estimate.py).
 *
 * Sources, as read in November 2026:
 * - OpenAI, developers.openai.com/api/docs/guides/images-vision ("Model sizing behavior", "Calculating costs"). Its factor
 *   for gpt-5-mini was 1.62 and is 1.2, as is billed; for gpt-5.2 and the small Codex models it names none.
 * - Anthropic, platform.claude.com/docs/en/build-with-claude/vision ("Evaluate image size") and vision-coordinates.
 * - Google, ai.google.dev/gemini-api/docs/image-understanding ("Token calculation") and media-resolution (Gemini 3).
 * - Mistral, mistral_common/tokens/tokenizers/image.py (`ImageEncoder`).
 * - Qwen2.5-VL and Qwen3-VL, model cards.
 */

const EDGE = 2048; // workers/files/formats/images.py: what models get of an image
const TILE_RATIO = 2.5;
const MAX_TILES = 8;

/** @typedef {[number, number]} Size width and height in pixels */

/** The images that a model gets of one: made smaller, or cut if it is far longer than wide. @param {Size} size @returns {Size[]} */
export function piecesOf([width, height]) {
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  if (long <= EDGE || long < TILE_RATIO * short) return [within([width, height], EDGE)];
  const number = Math.min(MAX_TILES, Math.ceil(long / Math.max(EDGE, Math.min(Math.trunc(short * 1.5), long))));
  const step = Math.ceil(long / number);
  /** @type {Size[]} */
  const found = [];
  for (let start = 0; start < long; start += step) {
    const length = Math.min(start + step, long) - start;
    found.push(within(height === long ? [width, length] : [length, height], EDGE));
  }
  return found;
}

/** @param {Size} size @param {number} longest @returns {Size} */
function within([width, height], longest) {
  const factor = Math.min(1, longest / Math.max(width, height));
  return [Math.max(1, Math.round(width * factor)), Math.max(1, Math.round(height * factor))];
}

/** OpenAI: 512 px tiles of an image whose shorter edge is at most 768 px. @param {number} base @param {number} tile @returns {(size: Size) => number} */
const tiles = (base, tile) => (size) => {
  let [width, height] = within(size, 2048);
  const factor = Math.min(1, 768 / Math.min(width, height));
  [width, height] = [width * factor, height * factor];
  return base + tile * Math.ceil(width / 512) * Math.ceil(height / 512);
};

/** OpenAI's newer and smaller models: 32 px patches, at most so many. @param {number} factor @param {number} [most] @returns {(size: Size) => number} */
const patches = (factor, most = 1536) => ([width, height]) => {
  const count = Math.ceil(width / 32) * Math.ceil(height / 32);
  if (count <= most) return Math.ceil(count * factor);
  const smaller = Math.sqrt((32 * 32 * most) / (width * height));
  const [across, down] = [(width * smaller) / 32, (height * smaller) / 32];
  const whole = Math.min(Math.floor(across) / across, Math.floor(down) / down);
  return Math.ceil(Math.floor(across * whole + 1e-9) * Math.floor(down * whole + 1e-9) * factor);
};

/**
 * Anthropic: 28 px patches of an image that is made as small as its longer edge and its patches have to be; `most` bounds
 * both the patches and, in pixels, `edge` the longer edge.
 * @param {number} edge @param {number} most @returns {(size: Size) => number}
 */
const anthropic = (edge, most) => ([width, height]) => {
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  /** @param {number} pixels of the longer edge @returns {[number, number]} its patches along both edges */
  const patched = (pixels) => [Math.ceil(pixels / 28), Math.ceil(Math.max(Math.round((pixels * short) / long), 1) / 28)];
  /** @param {number} pixels */
  const fits = (pixels) => patched(pixels)[0] * 28 <= edge && patched(pixels)[0] * patched(pixels)[1] <= most;
  let [lowest, highest] = [1, long];
  if (fits(long)) lowest = long;
  else {
    while (lowest + 1 < highest) {
      const middle = Math.trunc((lowest + highest) / 2);
      if (fits(middle)) lowest = middle;
      else highest = middle;
    }
  }
  return patched(lowest)[0] * patched(lowest)[1];
};

/** @param {Size} size */
const gemini = ([width, height]) => {
  if (width <= 384 && height <= 384) return 258;
  const unit = Math.max(1, Math.floor(Math.min(width, height) / 1.5));
  return 258 * Math.ceil(width / unit) * Math.ceil(height / unit);
};

/** Square pieces of so many pixels. @param {number} edge @returns {(size: Size) => number} */
const squares = (edge) => ([width, height]) => Math.max(1, Math.round(width / edge)) * Math.max(1, Math.round(height / edge));

/** Pixtral: 16 px pieces of an image of at most 1,024 px, and a mark at the end of each row. @param {Size} size */
const pixtral = (size) => {
  const [width, height] = within(size, 1024);
  return (Math.ceil(width / 16) + 1) * Math.ceil(height / 16);
};

/** The first that fits a model's name counts. @type {[RegExp, (size: Size) => number][]} */
const FORMULAS = [
  [/gpt-4\.1-mini/, patches(1.62)],
  [/gpt-(?:4\.1|5)-nano/, patches(2.46)],
  [/gpt-5-mini/, patches(1.2)],
  [/gpt-5\.4/, patches(1.2, 2500)],
  [/gpt-5\.[5-9]/, patches(1.2, 10000)],
  [/\bo4-mini/, patches(1.72)],
  [/gpt-4o-mini/, tiles(2833, 5667)],
  [/gpt-(?:4o|4\.1|4\.5)/, tiles(85, 170)],
  [/gpt-5(?:\.1)?(?!\.\d|.*(?:mini|nano))/, tiles(70, 140)],
  [/\bo[13](?:-|$)/, tiles(75, 150)],
  [/claude-[a-z]+-(?:4[-.][7-9]|[5-9])(?!\d)/, anthropic(2576, 4784)],
  [/claude/, anthropic(1568, 1568)],
  [/gemini-3/, () => 1120],
  [/gemini-[12]/, gemini],
  [/qwen-?3(?:\.\d)?-?vl/, squares(32)],
  [/qwen-?2(?:\.5)?-?vl/, squares(28)],
  [/pixtral/, pixtral],
];

/** @param {Size} size */
const estimate = ([width, height]) => Math.min(Math.max(Math.ceil((width * height) / 750), 100), 4800);

/**
 * @param {string} model its name
 * @param {Size} size of the image
 * @returns {{tokens: number, published: boolean}} `published`: by its vendor's formula
 */
export function costOf(model, size) {
  const formula = FORMULAS.find(([name]) => name.test(model.toLowerCase()))?.[1];
  const tokens = piecesOf(size).reduce((sum, one) => sum + (formula ?? estimate)(one), 0);
  return { tokens, published: formula !== undefined };
}
