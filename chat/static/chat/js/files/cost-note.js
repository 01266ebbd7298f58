/** Says below the files what the images among them will cost with the chosen model, before they are sent. */

import { costOf } from "antiphon/files/image-cost";
import { LOCALE, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/conversation/model-list").Model} Model */

/**
 * @param {import("antiphon/files/file-box").FileBox} box
 * @param {() => Model[]} wanted the models that will answer
 */
export function costNote(box, wanted) {
  const note = Object.assign(document.createElement("p"), { className: "attached-cost", hidden: true });
  box.note.after(note);
  return () => {
    // Its size is known once it is uploaded and was read.
    const sizes = box.entries.flatMap(({ file }) => (file?.kind === "image" && file.width && file.height ? [/** @type {[number, number]} */ ([file.width, file.height])] : []));
    const seeing = wanted().filter((model) => model.sees !== false);
    note.hidden = !sizes.length || !seeing.length;
    note.textContent = note.hidden ? "" : wordsOf(seeing, sizes);
  };
}

/** @param {Model[]} models @param {[number, number][]} sizes */
function wordsOf(models, sizes) {
  const costs = models.flatMap((model) => sizes.map((size) => ({ model, ...costOf(model.id, size) })));
  const tokens = costs.reduce((sum, one) => sum + one.tokens, 0);
  const price = priceOf(costs);
  const values = { tokens: tokens.toLocaleString(LOCALE), price: price ?? "" };
  const published = costs.every((one) => one.published);
  if (price === null) {
    if (published) return tn("The image uses {tokens} tokens, free of charge.", "The images use {tokens} tokens, free of charge.", sizes.length, values);
    return tn("The image uses about {tokens} tokens, free of charge.", "The images use about {tokens} tokens, free of charge.", sizes.length, values);
  }
  if (published) {
    if (values.price) return tn("The image costs {tokens} tokens, which is {price}.", "The images cost {tokens} tokens, which is {price}.", sizes.length, values);
    return tn("The image costs {tokens} tokens.", "The images cost {tokens} tokens.", sizes.length, values);
  }
  if (values.price) return tn("The image costs about {tokens} tokens, which is about {price}.", "The images cost about {tokens} tokens, which is about {price}.", sizes.length, values);
  return tn("The image costs about {tokens} tokens.", "The images cost about {tokens} tokens.", sizes.length, values);
}

/** What they cost together: null if nothing, empty if a model has no price that may be shown. @param {{model: Model, tokens: number}[]} costs */
function priceOf(costs) {
  const prices = costs.map(({ model, tokens }) => (model.price?.input === undefined ? NaN : (Number(model.price.input) * tokens) / 1e6));
  const currencies = new Set(costs.map(({ model }) => model.price?.currency ?? "USD"));
  const sum = prices.reduce((total, one) => total + one, 0);
  if (Number.isNaN(sum) || currencies.size > 1) return "";
  if (!sum) return null;
  const digits = sum < 0.01 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 4 };
  return new Intl.NumberFormat(LOCALE, { style: "currency", currency: [...currencies][0], ...digits }).format(sum);
}
