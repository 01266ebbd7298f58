/** The commands of the search sheet: entries of a list in the page, which say what they do. */

import { wordsOf } from "antiphon/lib/highlight";

/** @typedef {import("antiphon/search/open").Search} Search */

const FIRST = 6; // shown while nothing is typed

/** The commands that fit: each word of the query begins one of theirs. @param {Search} search @param {string} query @returns {HTMLElement[]} */
export function commandsFor(search, query) {
  const words = wordsOf(query);
  const all = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("#search-commands > li")]);
  const usable = all.filter((one) => !one.dataset.needs || search.conversation.page.conversation_id);
  if (!words.length) return usable.slice(0, FIRST);
  return usable.filter((one) => {
    const own = wordsOf(`${one.textContent} ${one.dataset.words ?? ""}`);
    return words.every((word) => own.some((other) => other.startsWith(word)));
  });
}

/** Carries out a command, after the sheet has closed. @param {Search} search @param {HTMLElement} command */
export function carryOut(search, command) {
  const { href, press, run, themeChoice } = command.dataset;
  if (href) follow(href, command.hasAttribute("data-sheet"));
  else if (press) document.getElementById(press)?.click();
  else if (run) void search.run(run);
  else if (themeChoice) /** @type {HTMLElement | null} */ (document.querySelector(`#theme input[value=${themeChoice}]`))?.click();
}

/** As if a link had been clicked: some lead to the settings, over this page. @param {string} href @param {boolean} isSheet */
function follow(href, isSheet) {
  const link = document.createElement("a");
  link.href = href;
  link.toggleAttribute("data-sheet", isSheet);
  document.body.append(link);
  link.click();
  link.remove();
}
