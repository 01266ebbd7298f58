/** The page's beginning: reads what the server put into it and starts the parts. */

import { MessageActions } from "antiphon/conversation/message-actions";
import { startAccountNotices } from "antiphon/conversation/account-notices";
import { startSpeechPlayback } from "antiphon/voice/speech-playback";
import { leaveWhenGone, showGone } from "antiphon/conversation/gone";
import { WebSearch } from "antiphon/conversation/web-search";
import { startSourceCards } from "antiphon/conversation/sources";
import { startKnowledge } from "antiphon/conversation/knowledge";
import { Reading } from "antiphon/conversation/reading";
import { startFiles } from "antiphon/files/arrivals";
import { startBanner } from "antiphon/lib/banner";
import { startPush } from "antiphon/lib/push";
import { Marks } from "antiphon/sidebar/marks";
import { Conversation } from "antiphon/conversation/conversation";
import { Tools } from "antiphon/conversation/tools";
import { startShortcuts } from "antiphon/lib/shortcuts";
import { MentionMarks } from "antiphon/sidebar/mention-marks";
import { Search } from "antiphon/search/open";
import { Sidebar } from "antiphon/sidebar/sidebar";
import { startSettings } from "antiphon/settings/open";
import { startTheme } from "antiphon/lib/theme";
import { startVoice } from "antiphon/voice/open";
import { takeShared } from "antiphon/conversation/shared-text";

const page = JSON.parse(document.getElementById("page")?.textContent ?? "{}");
const conversation = new Conversation(page);
const sidebar = new Sidebar(page, {
  onTitle: (title) => conversation.setTitle(title), say: (words) => conversation.announcer.say(words),
});
conversation.onListed = (/** @type {import("antiphon/wire/protocol").Frame} */ notice) => sidebar.listed(notice);
/** Loaded when a quota is nearly used up; what could not be loaded is tried again with the next news. @type {((quotas: any[]) => void) | undefined} */
let showAllowance;
conversation.onQuota = (quotas) => {
  if (!quotas.length) return;
  import("antiphon/conversation/allowance").then(({ startAllowance }) => {
    showAllowance ??= startAllowance(document.getElementById("allowance"));
    showAllowance(quotas);
  }).catch(() => {});
};
conversation.onQuota(page.quotas ?? []);
const marks = new MentionMarks(page, (words) => conversation.announcer.say(words), () => sidebar.heard++);
const showDecision = startAccountNotices(conversation);
conversation.onNotice = (frame) => (frame.type === "mention" ? marks.receive(frame) : showDecision(frame));
new MessageActions(conversation);
new Tools(conversation);
new Marks(page, sidebar, conversation.socket);
new Reading(conversation);
leaveWhenGone(conversation);
startSourceCards();
new WebSearch(conversation);
startKnowledge(conversation);
showGone();
startBanner(conversation, page.urls.icons);
startPush(page, conversation.socket);
startShortcuts(conversation, sidebar);
new Search(conversation, sidebar);
page.socket = conversation.socket; // for the settings
startSettings(page, () => {
  if (sidebar.isDrawerOpen) sidebar.toggle(false, false);
});
startTheme(/** @type {HTMLElement} */ (document.getElementById("theme")));
if (matchMedia("(hover: hover)").matches) conversation.composer.field.focus();
startVoice(conversation, startSpeechPlayback(conversation));
startFiles(conversation);
takeShared(conversation.composer);
conversation.start();
