/**
 * Sentences in the page's language. The sources are English; another language's catalogue (chat/texts/…, made by
 * `manage.py translations`) is a script of its own that ran before this one, so pages in English load nothing more.
 * Arguments that name a source are literals: `manage.py translations` finds them by `t`, `tn` and `tc`.
 */

/** @typedef {Record<string, string | number>} Values numbers are written as the language writes them */
/** @type {{plurals?: string[], texts?: Record<string, string | string[]>}} by the source, with its context before `\u0004` */
const CATALOGUE = /** @type {any} */ (globalThis).antiphonTexts ?? {};

export const LANGUAGE = document.documentElement.lang || "en";
const base = LANGUAGE.split("-")[0];
/** For dates and numbers: the page's language, as the reader's browser has it where it is the same one (`en-GB`). */
const regional = navigator.languages?.find((one) => one.split("-")[0] === base) ?? LANGUAGE;
export const LOCALE = base === "ar" ? new Intl.Locale(regional, { numberingSystem: "latn" }).toString() : regional; // as the server

const rules = new Intl.PluralRules(LANGUAGE);
const numbers = new Intl.NumberFormat(LOCALE);

/** @param {string} text @param {Values} values */
function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return typeof value === "number" ? numbers.format(value) : (value ?? whole);
  });
}

/** @param {string[]} forms @param {number} count */
function formOf(forms, count) {
  return forms[CATALOGUE.plurals?.indexOf(rules.select(count)) ?? -1] ?? forms.at(-1); // French has "many", for millions
}

/** A sentence. @param {string} source with `{name}` for each value @param {Values} [values] */
export function t(source, values = {}) {
  const found = CATALOGUE.texts?.[source];
  return fill((Array.isArray(found) ? formOf(found, 1) : found) ?? source, values);
}

/** A sentence that the server wrote in English, such as one that is stored with an answer. @param {string} source */
export function told(source) {
  const found = CATALOGUE.texts?.[source];
  return typeof found === "string" ? found : source;
}

/** A sentence whose source needs a context to be understood. @param {string} context @param {string} source @param {Values} [values] */
export function tc(context, source, values = {}) {
  const found = CATALOGUE.texts?.[`${context}\u0004${source}`];
  return fill(typeof found === "string" ? found : source, values);
}

/** A sentence about a number of things. @param {string} one @param {string} other @param {number} count @param {Values} [values] beside `{count}` */
export function tn(one, other, count, values = {}) {
  const forms = CATALOGUE.texts?.[one];
  const known = Array.isArray(forms) ? formOf(forms, count) : forms;
  return fill(known ?? (count === 1 ? one : other), { count, ...values });
}

/** Names as a list in a sentence. @param {string[]} names */
export function list(names) {
  return new Intl.ListFormat(LOCALE).format(names);
}

/** A time that passes, with whole seconds. @param {number} seconds */
export function spellSeconds(seconds) {
  return seconds < 60 ? t("{seconds} s", { seconds }) : t("{minutes} min {seconds} s", { minutes: Math.floor(seconds / 60), seconds: seconds % 60 });
}

/** A number with one decimal place. @param {number} value */
export function oneDigit(value) {
  return value.toLocaleString(LOCALE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}
