/** A conversation that its reader may no longer see: the page lets go of it, and says why. */

import { forgetMessage, storedMessages } from "antiphon/lib/database";
import { recall, remember } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/conversation").Conversation} Conversation */

const REMOVED =
  t("You no longer have access to that conversation: you were removed from it, or it was deleted. Drafts and unsent messages of it were discarded.");
const SHOWN_ON_NEXT_PAGE = "gone";

/** Leaves the conversation as soon as the server says that it is out of reach. @param {Conversation} conversation */
export function leaveWhenGone(conversation) {
  const { socket, page } = conversation;
  const isOurs = (/** @type {import("antiphon/wire/protocol").Frame} */ frame) => frame.conversation_id === page.conversation_id;
  socket.on("conversation.listed", (notice) => notice.removed && isOurs(notice) && leave(conversation));
  socket.on("closed", ({ next }) => next === "leave" && page.conversation_id && leave(conversation));
  conversation.onGone = () => leave(conversation);
}

/**
 * Takes the conversation off the screen at once, then what this browser keeps of it, then goes to a new page: it takes
 * the place of this one, so that no way back shows it again.
 * @param {Conversation} conversation
 */
async function leave({ page, transcript, composer, outbox }) {
  const id = page.conversation_id;
  if (!id) return;
  page.conversation_id = null; // nothing of it is stored any more
  transcript.root.replaceChildren();
  for (const dialog of document.querySelectorAll("dialog[open]")) /** @type {HTMLDialogElement} */ (dialog).close();
  document.getElementById("voice-cancel")?.click();
  composer.field.value = "";
  composer.form.hidden = true;
  document.title = "Antiphon";
  for (const part of ["title", "here", "here-words", "typing"]) document.getElementById(part)?.replaceChildren();
  remember(`draft.${page.user.id}.${id}`, null);
  if (recall("leaving", "session") !== id) remember(SHOWN_ON_NEXT_PAGE, REMOVED, "session"); // who leaves knows
  for (const item of outbox.items.values()) clearTimeout(item.timer);
  outbox.items.clear();
  const unsent = (await storedMessages(page.user.id)).filter((one) => one.conversationId === id);
  await Promise.all([...unsent.map((one) => forgetMessage(one.clientId)), closeNotifications(id)]);
  location.replace(page.urls.root);
}

/** @param {string} id of the conversation */
async function closeNotifications(id) {
  const worker = await navigator.serviceWorker?.getRegistration().catch(() => undefined);
  for (const one of (await worker?.getNotifications?.({ tag: id })) ?? []) one.close();
}

/** Says on a new page why the one before was left. */
export function showGone() {
  const words = recall(SHOWN_ON_NEXT_PAGE, "session");
  remember("leaving", null, "session");
  if (!words) return;
  remember(SHOWN_ON_NEXT_PAGE, null, "session");
  const line = Object.assign(document.createElement("p"), { className: "gone", textContent: words, tabIndex: -1 });
  document.querySelector("#empty > div")?.prepend(line);
  line.setAttribute("role", "alert");
  line.focus();
}
