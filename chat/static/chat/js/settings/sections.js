/** What the scripts of the settings do in a section, whether it is a page or in the sheet. */

import { startChoices } from "antiphon/settings/choices";
import { startImports } from "antiphon/settings/imports";
import { startNotifications } from "antiphon/settings/notifications";

/**
 * @param {HTMLElement} root what has just been shown @param {() => void} reload shows it again as it is now
 * @param {import("antiphon/wire/socket").Socket} [socket] of the page below, where there is one
 */
export function startSection(root, reload, socket) {
  root.querySelector(".settings-nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  startChoices(root);
  startImports(root, reload, socket);
  startNotifications(root, reload);
  if (root.querySelector("[data-collection], [data-follow]")) import("antiphon/settings/collections").then(({ startCollection }) => startCollection(root, reload), () => {});
}
