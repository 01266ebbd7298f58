/** What this browser keeps of the settings: each choice holds at once, also in other tabs (boot.js applies it before the first paint). */

import { t } from "antiphon/lib/texts";

const ON_THE_ROOT = ["theme", "text", "density"]; // attributes that the style sheets read

// Not `lib/storage`: with it, the page of a conversation would load one more file at once.
/** @param {string} name @returns {string} */
function recall(name) {
  try {
    return localStorage.getItem(`antiphon.${name}`) ?? "";
  } catch {
    return ""; // storage is blocked
  }
}

/** @param {string} name @param {string} value */
export function keep(name, value) {
  try {
    if (value) localStorage.setItem(`antiphon.${name}`, value);
    else localStorage.removeItem(`antiphon.${name}`);
  } catch {
    // It holds until the page is left.
  }
}

/** @param {string} name @param {string} value */
function apply(name, value) {
  if (ON_THE_ROOT.includes(name)) {
    if (value) document.documentElement.dataset[name] = value;
    else delete document.documentElement.dataset[name];
  }
  dispatchEvent(new CustomEvent("antiphon:choice", { detail: { name, value } }));
}

/** @param {HTMLElement} root */
function show(root) {
  for (const field of /** @type {NodeListOf<HTMLSelectElement | HTMLInputElement>} */ (root.querySelectorAll("[data-choices] [name]"))) {
    const kept = recall(field.name);
    if (field instanceof HTMLInputElement) field.checked = field.dataset.off ? kept !== field.dataset.off : kept === "on";
    else field.value = kept;
  }
}

/** @param {HTMLSelectElement | HTMLInputElement} field */
function valueOf(field) {
  if (!(field instanceof HTMLInputElement)) return field.value;
  return field.dataset.off ? (field.checked ? "" : field.dataset.off) : field.checked ? "on" : "";
}

/** The voices of this browser, which some load late. @param {HTMLElement} root */
function offerVoices(root) {
  const row = /** @type {HTMLElement | null} */ (root.querySelector("[data-voices]"));
  const choice = row?.querySelector("select");
  if (!row || !choice || !("speechSynthesis" in window)) return;
  const list = () => {
    const voices = [...speechSynthesis.getVoices()].sort((a, b) => a.lang.localeCompare(b.lang) || a.name.localeCompare(b.name));
    const options = voices.map((voice) => {
      const online = voice.localService ? "" : ` · ${t("online")}`; // its maker gets to see what it reads
      return new Option(`${voice.name} (${voice.lang}${online})`, voice.name);
    });
    choice.replaceChildren(choice.options[0], ...options);
    choice.value = recall("voice.name");
    row.hidden = choice.options.length === 1;
  };
  speechSynthesis.addEventListener?.("voiceschanged", list);
  list();
}

/** @type {HTMLElement | null} the section that is shown */
let shown = null;

addEventListener("storage", (event) => {
  if (!event.key?.startsWith("antiphon.") || !shown?.isConnected) return;
  const name = event.key.slice("antiphon.".length);
  if (shown.querySelector(`[data-choices] [name="${CSS.escape(name)}"]`)) apply(name, event.newValue ?? "");
  show(shown);
});

/** Makes the choices of a section work. @param {HTMLElement} root */
export function startChoices(root) {
  for (const field of /** @type {NodeListOf<HTMLSelectElement>} */ (root.querySelectorAll("[data-kept]"))) keep(field.name, field.dataset.kept ?? "");
  const forms = /** @type {NodeListOf<HTMLFormElement>} */ (root.querySelectorAll("[data-choices]"));
  if (!forms.length) return;
  offerVoices(root);
  if (root.querySelector("[data-microphones]")) void import("antiphon/settings/voice").then((voice) => voice.offerMicrophones(root));
  show(root);
  for (const form of forms) {
    form.hidden = false;
    form.addEventListener("change", (event) => {
      const field = /** @type {HTMLSelectElement | HTMLInputElement} */ (event.target);
      const value = valueOf(field);
      keep(field.name, value);
      apply(field.name, value);
      if (form.dataset.account) void import("antiphon/settings/voice").then((voice) => voice.saveForAccount(form, field.name, value));
    });
  }
  shown = root;
}
