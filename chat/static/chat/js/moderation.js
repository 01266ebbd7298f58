// The keyboard of the review queue and of a case. Everything is a link or a button too; keys only press them.

const root = document.querySelector("[data-moderation]");
const keys = document.getElementById("moderation-keys");
const rows = [...root.querySelectorAll("[data-row]")];

/** Presses a button or submits a form if the page has it. @param {string} selector */
function press(selector) {
  const found = root.querySelector(selector);
  if (found instanceof HTMLFormElement) found.requestSubmit();
  else found?.click();
  return Boolean(found);
}

/** Moves to the next (1) or previous (-1) row. @param {number} step */
function walk(step) {
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step));
  rows[next]?.focus();
  rows[next]?.scrollIntoView({ block: "nearest" });
  return Boolean(rows.length);
}

/** Claims the row that has the focus, and opens it. */
function claimRow() {
  const form = document.getElementById("claim-form");
  const row = document.activeElement?.closest("[data-row]");
  if (!form || !row) return false;
  form.action = row.dataset.claim;
  form.requestSubmit();
  return true;
}

function giveBack() {
  if (press("[data-act=unclaim]")) return true;
  if (!root.dataset.queue) return false;
  location.assign(root.dataset.queue);
  return true;
}

function writeNote() {
  const note = root.querySelector("[name=note]");
  note?.focus();
  return Boolean(note);
}

const ACTS = {
  j: () => walk(1),
  k: () => walk(-1),
  c: () => (rows.length ? claimRow() : press("[data-act=claim]")),
  u: giveBack,
  n: writeNote,
  "?": () => (keys.showModal(), true),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog:modal")) return;
  const isSubmit = (event.ctrlKey || event.metaKey) && event.key === "Enter";
  if (isSubmit && press("#decide-form")) return event.preventDefault();
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  if (event.key === "Escape") return document.activeElement?.blur();
  if (event.target.closest("textarea, select, input:not([type=radio])")) return undefined;
  const choice = root.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (choice) {
    choice.click();
    choice.focus();
    return event.preventDefault();
  }
  if (ACTS[event.key]?.()) event.preventDefault();
  return undefined;
});

root.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys]")) keys.showModal();
});
