/** The seam in the transcript: the summary that models get instead of the messages above it. */

/** @typedef {{id: string, message_id: string, messages: number, text: string, used: boolean}} Summary */

/** Shows a message's summary below it, or none. @param {HTMLElement} article @param {Summary | null | undefined} summary */
export function showSeam(article, summary) {
  const before = article.querySelector(".seam");
  if (!summary) return before?.remove();
  const open = before?.querySelector("details")?.open ?? false;
  const blank = /** @type {HTMLTemplateElement} */ (document.getElementById("blank-seam"));
  const piece = /** @type {DocumentFragment} */ (blank.content.cloneNode(true));
  const seam = /** @type {HTMLElement} */ (piece.querySelector(".seam"));
  seam.dataset.id = summary.id;
  seam.toggleAttribute("data-unused", !summary.used);
  const text = seam.querySelector(".seam-text");
  if (text) text.textContent = summary.text;
  const details = seam.querySelector("details");
  if (details) details.open = open;
  const focused = before?.contains(document.activeElement) ? document.activeElement : null;
  before?.remove();
  article.append(seam);
  if (focused) focusAgain(seam, focused, summary.used);
  return undefined;
}

/** The seam that had the focus was replaced. @param {HTMLElement} seam @param {Element} focused @param {boolean} used */
function focusAgain(seam, focused, used) {
  const button = focused.matches("summary") ? "summary" : `[data-action=${used ? "undo" : "use"}-summary]`;
  /** @type {HTMLElement | null} */ (seam.querySelector(button))?.focus();
}

/** Only the newest summary of the path counts: it covers what those above it do. @param {{element: HTMLElement}[]} path */
export function showNewestSeam(path) {
  const seams = path.map((view) => /** @type {HTMLElement | null} */ (view.element.querySelector(".seam"))).filter((seam) => seam !== null);
  seams.forEach((seam, at) => (seam.hidden = at < seams.length - 1));
}
