/** Drafts of tabs that were closed. */

import { recallAll, remember } from "antiphon/lib/storage";

/** @typedef {import("antiphon/conversation/composer").Composer} Composer */
/** @typedef {import("antiphon/lib/tab").Tab} Tab */

/**
 * Fills an empty composer of a new conversation with the draft of a tab that is closed.
 * @param {Composer} composer @param {Tab} tab @param {string} prefix of the keys of such drafts
 */
export async function adoptDraft(composer, tab, prefix) {
  await tab.ready;
  const open = await tab.others();
  if (composer.field.value) return composer.changed();
  const orphan = recallAll(`${prefix}.`).find(([key]) => !open.has(key.slice(prefix.length + 1)));
  if (!orphan) return undefined;
  remember(orphan[0], null);
  return composer.write(orphan[1]);
}
