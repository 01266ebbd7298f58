/** The settings of voice: which microphones there are, and what the account keeps. */

import { post } from "antiphon/lib/fetch";
import { recall } from "antiphon/lib/storage";
import { t } from "antiphon/lib/texts";

/** The microphones, whose names browsers tell after the microphone was allowed only. @param {HTMLElement} root */
export async function offerMicrophones(root) {
  const row = /** @type {HTMLElement} */ (root.querySelector("[data-microphones]"));
  const choice = /** @type {HTMLSelectElement} */ (row.querySelector("select"));
  const button = /** @type {HTMLButtonElement} */ (row.querySelector("button"));
  const { mediaDevices } = navigator;
  if (!mediaDevices?.enumerateDevices) return;
  const list = async () => {
    const found = (await mediaDevices.enumerateDevices()).filter((one) => one.kind === "audioinput");
    const named = found.filter((one) => one.label && one.deviceId && one.deviceId !== "default");
    choice.replaceChildren(choice.options[0], ...named.map((one) => new Option(one.label, one.deviceId)));
    choice.value = recall("voice.microphone") ?? "";
    if (choice.selectedIndex < 0) choice.value = ""; // it is not connected
    choice.hidden = !named.length;
    button.hidden = Boolean(named.length) || !found.length;
    row.hidden = !found.length;
  };
  button.addEventListener("click", async () => {
    try {
      const stream = await mediaDevices.getUserMedia({ audio: true });
      for (const track of stream.getTracks()) track.stop();
      await list();
      choice.focus();
    } catch {
      button.textContent = t("Your browser blocks the microphone on this site. Allow it in the site settings, then try again.");
    }
  });
  mediaDevices.addEventListener?.("devicechange", () => row.isConnected && list());
  await list();
}

/** @param {HTMLFormElement} form @param {string} name of the field @param {string} value */
export async function saveForAccount(form, name, value) {
  const csrf = /** @type {HTMLInputElement} */ (form.querySelector("[name=csrfmiddlewaretoken]")).value;
  const failed = /** @type {HTMLElement} */ (form.querySelector("[data-failed]"));
  failed.hidden = true;
  try {
    await post(/** @type {string} */ (form.dataset.account), csrf, { [name.replace(/^voice\./, "")]: value });
  } catch (error) {
    failed.textContent = t("This is set in this browser, but could not be saved for your other devices. {reason}", { reason: /** @type {Error} */ (error).message });
    failed.hidden = false;
  }
}
