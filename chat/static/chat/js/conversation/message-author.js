/** Whose message it is. */

/**
 * Shows who wrote a message, unless it was the reader.
 * @param {HTMLElement} element the message @param {{id: string | null, name: string} | null} author
 */
export function nameAuthor(element, author) {
  const name = /** @type {HTMLElement | null} */ (element.querySelector(".message-author"));
  if (!name || !author || author.id === name.dataset.own) return;
  name.textContent = author.name;
  name.hidden = false;
  const heading = element.querySelector("h2");
  if (heading) heading.textContent = author.name;
}
