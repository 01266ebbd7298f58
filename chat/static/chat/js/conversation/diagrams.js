/**
 * Draws Mermaid diagrams. What draws them runs in a sandboxed frame without an origin, so that it can read nothing of
 * the site; what it returns is shown as an image, in which no script runs and nothing is loaded. On an error the source
 * stays, with the reason.
 */

import { t } from "antiphon/lib/texts";

const LONGEST = 20_000; // UTF-16 units of source
// Browsers may draw in the page's own process, and layouts take seconds from some hundred nodes on: drawn on a press only.
const LARGE_LINES = 100;
const LARGE = 6_000;
const SECONDS = 30; // for one diagram, and for the frame to start; slow devices take long to read 3 MB of script
const SHRINK = 0.6; // the smallest scale that text stays readable at; wider diagrams scroll
const UNSAFE = /<(?:[\w.-]+:)?(?:script|foreignobject|iframe|object|embed)\b|\son\w+\s*=\s*["']|javascript:|<!/i;

/** @typedef {{svg: string, url: string, width: number} | {error: string} | {large: true}} Drawn */

/** What was drawn, by its theme and source. @type {Map<string, Drawn>} */
const drawn = new Map();
/** Sources that are being drawn, or wait. @type {Set<string>} */
const waiting = new Set();
/** @type {HTMLIFrameElement | null} */
let frame = null;
/** @type {Promise<void>} */
let queue = Promise.resolve();

/**
 * Draws a source, then shows it wherever it is in the page.
 * @param {string} source @param {boolean} [wanted] draws a large one too
 */
export function draw(source, wanted = false) {
  const key = keyOf(source);
  const found = drawn.get(key);
  if (!found && !wanted && isLarge(source)) drawn.set(key, { large: true });
  if (drawn.has(key) && !(wanted && found && "large" in found)) return showAll();
  if (waiting.has(key)) return undefined;
  waiting.add(key);
  queue = queue.then(async () => {
    if (drawn.size > 200) forget();
    drawn.set(key, await request(source, isDark()));
    waiting.delete(key);
    showAll();
  });
  return undefined;
}

/** Shows a code block's diagram, if it was drawn. @param {HTMLElement} block @returns {boolean} */
export function place(block) {
  const source = block.querySelector("pre")?.textContent ?? "";
  const found = drawn.get(keyOf(source));
  if (!found) return false;
  block.querySelector(".diagram")?.remove();
  const figure = document.createElement("figure");
  figure.className = "diagram";
  block.classList.toggle("has-diagram", "url" in found);
  if ("url" in found) {
    const image = document.createElement("img");
    image.src = found.url;
    image.alt = t("Diagram. “Code” shows its source.");
    image.style.minWidth = `${Math.round(found.width * SHRINK)}px`;
    figure.tabIndex = 0; // it scrolls sideways
    figure.append(image);
  } else if ("large" in found) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "code-act", textContent: t("Draw this large diagram") });
    button.dataset.action = "part-draw";
    figure.append(button);
  } else {
    figure.append(Object.assign(document.createElement("figcaption"), { textContent: found.error }));
  }
  block.append(figure);
  return true;
}

/** The image of a code block's diagram. @param {Element} block @returns {{svg: string, url: string, width: number} | null} */
export function drawingOf(block) {
  const found = drawn.get(keyOf(block.querySelector("pre")?.textContent ?? ""));
  return found && "url" in found ? found : null;
}

function showAll() {
  for (const pre of document.querySelectorAll(".code-block > pre[data-language=mermaid]")) {
    place(/** @type {HTMLElement} */ (pre.parentElement));
  }
  if (!waiting.size) delete document.documentElement.dataset.drawing;
}

/** @param {string} source */
function keyOf(source) {
  return `${isDark() ? "dark" : "light"} ${source}`;
}

/** @param {string} source */
function isLarge(source) {
  return source.length > LARGE || source.trim().split("\n").length > LARGE_LINES;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function forget() {
  for (const one of drawn.values()) if ("url" in one) URL.revokeObjectURL(one.url);
  drawn.clear();
}

/** The theme has changed. */
function redraw() {
  for (const pre of document.querySelectorAll(".code-block > pre[data-language=mermaid]")) draw(pre.textContent ?? "");
}

new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

/** @param {string} source @param {boolean} dark @returns {Promise<Drawn>} */
async function request(source, dark) {
  if (source.length > LONGEST) return { error: t("This diagram is too long to be drawn.") };
  try {
    const target = await open();
    const answer = await reply(target, () => target.postMessage({ source, dark }, "*"));
    return typeof answer.svg === "string" ? toImage(answer.svg) : { error: t("This diagram can’t be drawn: {error}", { error: firstLine(answer.error) }) };
  } catch {
    frame?.remove();
    frame = null;
    return { error: t("This diagram can’t be drawn: it took too long.") };
  }
}

/** @param {unknown} words */
function firstLine(words) {
  const line = String(words).trim().split("\n")[0].slice(0, 200);
  return /[.!?:]$/.test(line) ? line.replace(/:$/, ".") : `${line}.`;
}

/** The frame, once it listens. @returns {Promise<Window>} */
async function open() {
  if (frame?.contentWindow) return frame.contentWindow;
  const made = document.createElement("iframe");
  made.className = "diagram-frame";
  made.title = t("Diagrams");
  made.ariaHidden = "true";
  made.tabIndex = -1;
  made.setAttribute("sandbox", "allow-scripts");
  made.src = document.getElementById("code-head")?.dataset.diagrams ?? "";
  frame = made;
  document.body.append(made);
  const target = /** @type {Window} */ (made.contentWindow);
  await reply(target, () => {});
  return target;
}

/** The next message of the frame after `ask`. @param {Window} target @param {() => void} ask @returns {Promise<any>} */
function reply(target, ask) {
  return new Promise((done, fail) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("message", onMessage);
    };
    const timer = setTimeout(() => (end(), fail(new Error("no answer"))), SECONDS * 1000);
    /** @param {MessageEvent} event */
    const onMessage = (event) => {
      if (event.source === target) end(), done(event.data ?? {});
    };
    addEventListener("message", onMessage);
    ask();
  });
}

/**
 * The drawing as an image. It is not parsed here: its style attributes would count against the page's policy. The frame
 * removes what a file could run when it is opened alone; a drawing that still has any comes from something else.
 * @param {string} svg @returns {Drawn}
 */
function toImage(svg) {
  const root = /^<svg\b[^>]*>/.exec(svg)?.[0];
  if (!root || UNSAFE.test(svg)) return { error: t("This diagram can’t be drawn: the drawing is not safe to show.") };
  const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  return { svg, url, width: Number(/\swidth="(\d+)"/.exec(root)?.[1]) || 300 };
}
