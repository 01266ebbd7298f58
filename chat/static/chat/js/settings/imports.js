/** Uploads a file to import, and shows how far imports and exports are, until they end. */

import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */

const POLL_MS = 1500;
const RARELY_MS = 15_000; // where the socket says how far they are: a notice may be lost
const AWAY = t("The upload was interrupted. Check your connection and try again.");

let ended = ""; // what has just ended, by its name in the list: its result is announced once it is shown

/** @type {((frame: Frame) => void) | null} what is done with a notice, while a section with transfers is shown */
let onNotice = null;
let listens = false;

/**
 * @param {HTMLElement} root @param {() => void} reload shows the section again as it is now
 * @param {import("antiphon/wire/socket").Socket} [socket] of the page below, where there is one
 */
export function startImports(root, reload, socket) {
  if (ended) announce(root);
  const form = /** @type {HTMLFormElement | null} */ (root.querySelector("[data-upload]"));
  if (form) startUpload(form, reload);
  const rows = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-transfer]")]);
  onNotice = rows.length ? (frame) => receive(rows, frame, reload) : null;
  if (!rows.length) return;
  if (socket && !listens) {
    listens = true;
    socket.on("transfer", (frame) => onNotice?.(frame));
  }
  const wait = () => (socket?.state === "open" ? RARELY_MS : POLL_MS);
  const ask = async () => (await follow(rows, reload)) && setTimeout(ask, wait());
  setTimeout(ask, POLL_MS); // the first notice may have come before the section did
}

/** @param {HTMLElement[]} rows @param {Frame} frame @param {() => void} reload */
function receive(rows, frame, reload) {
  const row = rows.find((one) => one.dataset.id === frame.id);
  if (!row?.isConnected) return;
  const words = frame.kind === "import" && frame.total ? tn("{done} of {count} conversation", "{done} of {count} conversations", frame.total, { done: frame.done }) : "";
  show(row, { ...frame, words }, reload);
}

/** Shows how far one is. False once it has ended: then the section is shown again. @param {HTMLElement} row @param {any} found @param {() => void} reload */
function show(row, { state, done, total, words }, reload) {
  if (state !== "waiting" && state !== "running") {
    ended = row.querySelector("strong")?.textContent ?? "";
    onNotice = null;
    reload();
    return false;
  }
  const bar = /** @type {HTMLProgressElement} */ (row.querySelector("progress"));
  if (total) Object.assign(bar, { max: total, value: done });
  const said = row.querySelector("[data-words]");
  if (said && state === "running" && words) said.textContent = words;
  return true;
}

/**
 * Asks for all of them in turn. Whether to ask again: not once one has ended, or another section is shown.
 * @param {HTMLElement[]} rows @param {() => void} reload
 */
async function follow(rows, reload) {
  try {
    for (const row of rows) {
      if (!row.isConnected) return false;
      const response = await fetch(row.dataset.transfer ?? "", { headers: { Accept: "application/json" } });
      if (response.redirected) return void reload(); // the session has ended
      const found = await response.json();
      if (!row.isConnected || !show(row, found, reload)) return false;
    }
  } catch {
    // The server can't be reached: the next turn tries again.
  }
  return true;
}

/** @param {HTMLElement} root */
function announce(root) {
  const row = [...root.querySelectorAll("li")].find((one) => one.querySelector("strong")?.textContent === ended);
  const status = root.querySelector("#transfer-status");
  const words = row?.querySelector(".form-note")?.textContent?.trim();
  if (status && words) setTimeout(() => (status.textContent = `${ended}: ${words}`));
  ended = "";
}

/** @param {HTMLFormElement} form @param {() => void} reload */
function startUpload(form, reload) {
  const field = /** @type {HTMLInputElement} */ (form.querySelector("input[type=file]"));
  const trouble = /** @type {HTMLElement} */ (form.querySelector("[role=alert]"));
  const bar = /** @type {HTMLProgressElement} */ (form.querySelector("progress"));
  const start = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
  const stop = /** @type {HTMLButtonElement} */ (form.querySelector("[data-stop]"));
  const fail = (/** @type {string} */ words) => {
    trouble.textContent = words;
    field.setAttribute("aria-invalid", words ? "true" : "false");
  };
  field.addEventListener("change", () => fail(""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = field.files ?? [];
    const most = Number(form.dataset.most);
    if (!file) return fail(t("Choose a file first."));
    if (file.size > most * 2 ** 20) return fail(t("This file has {size} MB; at most {most} MB can be imported.", { size: Math.ceil(file.size / 2 ** 20), most }));
    fail("");
    const request = new XMLHttpRequest();
    const busy = (/** @type {boolean} */ on) => {
      start.disabled = on;
      stop.hidden = bar.hidden = !on;
    };
    busy(true);
    bar.removeAttribute("value");
    stop.onclick = () => request.abort();
    request.upload.addEventListener("progress", ({ loaded, total }) => Object.assign(bar, { max: total, value: loaded }));
    request.addEventListener("loadend", () => {
      busy(false);
      if (request.status === 200 && request.getResponseHeader("Content-Type")?.startsWith("application/json")) reload();
      else if (request.status) fail(refusal(request));
    });
    request.addEventListener("error", () => fail(AWAY));
    request.addEventListener("abort", () => fail(t("The upload was cancelled.")));
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.send(new FormData(form));
    return undefined;
  });
}

/** @param {XMLHttpRequest} request @returns {string} */
function refusal(request) {
  if (request.status === 413) return t("This file is too large for this site.");
  try {
    return JSON.parse(request.responseText).message || AWAY;
  } catch {
    return request.status === 200 ? t("Please log in again.") : AWAY;
  }
}
