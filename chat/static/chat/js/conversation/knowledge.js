/**
 * The button of the collections that answers are looked up in, for people who have any. What is chosen for a
 * conversation that has not begun is kept in this tab, and goes with the first message.
 */

import { loadSheetStyles } from "antiphon/lib/sheets";
import { showNote } from "antiphon/conversation/status";
import { recall } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";

const NARROW = "(width < 30rem)"; // knowledge.css has the same

/** @param {import("antiphon/conversation/conversation").Conversation} conversation */
export function startKnowledge(conversation) {
  const { page, parameters } = conversation;
  const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("knowledge-button"));
  if (!button) return;
  const key = `draft.collections.${page.user.id}`;
  const draft = () => (page.conversation_id ? null : recall(key, "session"));
  const { more } = parameters;
  parameters.more = () => ({ ...more?.(), ...(draft() ? { collections: JSON.parse(draft() ?? "[]") } : {}) });
  /** @type {Promise<import("antiphon/conversation/knowledge-sheet").KnowledgeSheet> | undefined} */
  let loading;
  const load = () => (loading ??= import("antiphon/conversation/knowledge-sheet").then(({ KnowledgeSheet }) => new KnowledgeSheet(conversation, button, key)));
  button.addEventListener("click", () => Promise.all([load(), loadSheetStyles()]).then(([sheet]) => sheet.toggle(), () => {
    loading = undefined;
    showNote(t("This could not be loaded. Try again in a moment."));
  }));
  if (page.collections.chosen || draft() || page.folder || matchMedia(NARROW).matches) load().catch(() => (loading = undefined));
}
