/** The page's beginning: reads what the server put into it and starts the parts. */

import { Actions } from "antiphon/actions";
import { startAllowance } from "antiphon/allowance";
import { startAloud } from "antiphon/aloud";
import { Conversation } from "antiphon/conversation";
import { startShortcuts } from "antiphon/shortcuts";
import { Sidebar } from "antiphon/sidebar";
import { forgetWords } from "antiphon/storage";
import { startTheme } from "antiphon/theme";
import { startVoice } from "antiphon/voice";

const page = JSON.parse(document.getElementById("page")?.textContent ?? "{}");
const conversation = new Conversation(page);
const sidebar = new Sidebar(page, {
  onTitle: (title) => conversation.setTitle(title), say: (words) => conversation.announcer.say(words),
});
conversation.onListed = (/** @type {import("antiphon/protocol").Frame} */ notice) => sidebar.listed(notice);
conversation.onQuota = startAllowance(document.getElementById("allowance"));
conversation.onQuota(page.quotas ?? []);
new Actions(conversation);
startShortcuts(conversation, sidebar);
startTheme(/** @type {HTMLElement} */ (document.getElementById("theme")));
document.getElementById("logout")?.addEventListener("submit", forgetWords);
if (matchMedia("(hover: hover)").matches) conversation.composer.field.focus();
startVoice(conversation, startAloud(conversation));
conversation.start();
