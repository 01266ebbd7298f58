/** The picker's list, without the page: how models are found, ranked, grouped and described. */

import { isolate } from "antiphon/lib/names";
import { LOCALE, t } from "antiphon/lib/texts";

/**
 * @typedef {{level: number, input?: string, output?: string, currency?: string}} Price
 * @typedef {{id: string, label: string, endpoint?: string, window?: number, sees?: boolean, thinks?: boolean, refuses?: string[],
 *   tools?: boolean, price?: Price}} Model
 * @typedef {{id: string, name: string, description: string, model: string, own?: boolean, owner?: string,
 *   starters?: boolean, tools?: boolean}} Preset `owner`: who shares it
 * @typedef {object} Entry a row that can be chosen
 * @property {string} value a model's id, or `preset:` and a preset's id
 * @property {string} label
 * @property {string} about the endpoint's name, or a preset's description
 * @property {Model | null} model null for a preset
 * @property {boolean} gone a preset's model is not available
 * @property {string[]} keys what is searched: label, id, endpoint or description, each folded
 * @property {number} rank the lower, the earlier among equals
 * @typedef {{title: string, entries: Entry[], endpoint?: string}} Group `endpoint`: all entries are of this endpoint
 */

export const PRESET = "preset:";
const THOUSAND = 1_000;
const FILE = /\.(?:gguf|ggml|bin|safetensors|onnx|pth?|llamafile)$/i;
const alphabet = new Intl.Collator(LOCALE, { numeric: true, sensitivity: "base" });

/** Lower case without accents. @param {string} text */
export function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Letters and digits only, so that `gpt5` finds `GPT-5`. @param {string} text folded */
function squeeze(text) {
  return text.replace(/[^\p{L}\p{N}]+/gu, "");
}

/** @param {Model} model @param {number} rank @returns {Entry} */
export function modelEntry(model, rank) {
  const about = model.endpoint ?? "";
  const keys = [model.label, model.id, about].map(fold);
  return { value: model.id, label: model.label, about, model, gone: false, keys: [...keys, ...keys.map(squeeze)], rank };
}

/** @param {Preset} preset @param {boolean} gone @returns {Entry} */
export function presetEntry(preset, gone) {
  const about = [preset.owner ? t("by {name}", { name: isolate(preset.owner) }) : "", preset.description].filter(Boolean).join(" · ");
  const keys = [preset.name, preset.model, about].map(fold);
  const value = PRESET + preset.id;
  return { value, label: preset.name, about, model: null, gone, keys: [...keys, ...keys.map(squeeze)], rank: -1 };
}

/** How well a word fits; 0: not at all. @param {Entry} entry @param {string} word folded */
function score({ keys: [label, id, about, ...squeezed] }, word) {
  const at = label.indexOf(word);
  if (at === 0) return 6;
  if (at > 0) return /[\p{L}\p{N}]/u.test(label[at - 1]) ? 4 : 5;
  if (id.includes(word)) return 3;
  if (about.includes(word)) return 2;
  const tight = squeeze(word);
  return tight && squeezed.some((key) => key.includes(tight)) ? 1 : 0;
}

/**
 * The entries in which every word of the query is found, the best first; all of them in their order without a query.
 * @param {Entry[]} entries @param {string} query @returns {Entry[]}
 */
export function search(entries, query) {
  const words = fold(query).split(/\s+/).filter(Boolean);
  if (!words.length) return entries;
  /** @type {{entry: Entry, total: number}[]} */
  const found = [];
  for (const entry of entries) {
    const scores = words.map((word) => score(entry, word));
    if (scores.every(Boolean)) found.push({ entry, total: scores.reduce((sum, one) => sum + one, 0) });
  }
  found.sort((a, b) => b.total - a.total || a.entry.rank - b.entry.rank || a.entry.label.length - b.entry.label.length);
  return found.map(({ entry }) => entry);
}

/**
 * The entries in groups: presets, favourites, recently used, then by endpoint. Each is in one group only.
 * @param {Entry[]} presets @param {Entry[]} models @param {string[]} favourites ids @param {string[]} recent ids
 * @param {{presets: string, favourites: string, recent: string, models: string}} titles
 * @returns {Group[]}
 */
export function arrange(presets, models, favourites, recent, titles) {
  const byId = new Map(models.map((entry) => [entry.value, entry]));
  /** @param {string[]} ids */
  const take = (ids) =>
    ids.flatMap((id) => {
      const entry = byId.get(id);
      return byId.delete(id) && entry ? [entry] : [];
    });
  /** @type {Group[]} */
  const groups = [
    { title: titles.presets, entries: presets },
    { title: titles.favourites, entries: take(favourites) },
    { title: titles.recent, entries: take(recent) },
  ];
  /** @type {Map<string, Entry[]>} */
  const endpoints = new Map();
  for (const entry of byId.values()) {
    const known = endpoints.get(entry.about);
    if (known) known.push(entry);
    else endpoints.set(entry.about, [entry]);
  }
  for (const [name, entries] of endpoints) {
    entries.sort((a, b) => alphabet.compare(a.label, b.label));
    groups.push({ title: name || titles.models, entries, endpoint: name });
  }
  return groups.filter((group) => group.entries.length);
}

/** A number of tokens as it is spoken of: 128k, 1M. @param {number} tokens */
export function shortWindow(tokens) {
  if (tokens < THOUSAND) return String(tokens);
  // Windows are powers of two as often as round numbers: 131072 and 128000 are both "128k".
  const unit = tokens % THOUSAND !== 0 && tokens % 1024 === 0 ? 1024 : THOUSAND;
  const kilo = tokens / unit;
  return kilo < THOUSAND ? `${Math.round(kilo)}k` : `${Math.round((kilo / unit) * 10) / 10}M`;
}

/** @param {Price} price */
export function shortPrice(price) {
  return price.level ? "$".repeat(price.level) : t("free");
}

/** @type {Map<string, Intl.NumberFormat>} making one takes longer than all else of a row */
const formats = new Map();

/** @param {string} currency */
function moneyIn(currency) {
  const known = formats.get(currency) ?? new Intl.NumberFormat(LOCALE, { style: "currency", currency, maximumFractionDigits: 4 });
  formats.set(currency, known);
  return known;
}

/** What a price is in words. @param {Price} price */
export function longPrice(price) {
  if (price.input !== undefined && price.output !== undefined && price.level) {
    const money = moneyIn(price.currency ?? "USD");
    return t("{input} in, {output} out per million tokens", { input: money.format(Number(price.input)), output: money.format(Number(price.output)) });
  }
  return [t("free"), t("low price"), t("medium price"), t("high price")][price.level];
}

/** A model's marks in words, for a screen reader and the line below the list. @param {Model} model @returns {string[]} */
export function marksOf(model) {
  const found = [];
  if (model.sees) found.push(t("sees images"));
  if (model.sees === false) found.push(t("no images"));
  if (model.thinks) found.push(t("thinks"));
  if (model.tools) found.push(t("calls tools"));
  if (model.tools === false) found.push(t("no tools"));
  if (model.window) found.push(t("{size} tokens", { size: shortWindow(model.window) }));
  if (model.price) found.push(longPrice(model.price));
  return found;
}

/**
 * Names for models that stand beside each other, as `make_labels` on the server makes them: the last part of each id
 * without a file's extension; the id where two would agree.
 * @param {string[]} ids @returns {string[]}
 */
export function shortNames(ids) {
  const short = (/** @type {string} */ id) => id.replace(/[\\/]+$/, "").split(/[\\/]/).at(-1)?.replace(FILE, "") || id;
  return ids.map((id) => (ids.some((other) => other !== id && short(other) === short(id)) ? id : short(id)));
}
