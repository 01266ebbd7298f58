/** Mentions in a text, without the page. The server decides (chat/turns/mentions.py); this shows beforehand what it will. */

/** @typedef {{id: string, label: string}} Model */
/** @typedef {{value: string, label: string, about: string}} Mentionable */

const CODE = /(^|\n) {0,3}(`{3,}|~{3,})[^]*?(\n {0,3}\2[`~]*[ \t]*(?=\n|$)|$)|(`+)(?!`)[^]*?[^`]\4(?!`)/g;
const MOST = 8; // names that are offered at once

/** @param {string} text */
function fold(text) {
  return text.normalize("NFKD").replace(/[\p{M}\p{Cf}]/gu, "").toLowerCase();
}

/** The names by which a model is known. @param {Model} model */
function namesOf(model) {
  return [model.id, model.label, model.id.slice(model.id.lastIndexOf("/") + 1)].filter(Boolean);
}

/** Whether a text mentions a model, by its name or as `@model`, outside of code. @param {string} text @param {Model[]} models */
export function mentionsModel(text, models) {
  if (!/[@＠]/.test(text)) return false;
  const plain = fold(text.replace(CODE, " "));
  const names = ["model", ...models.flatMap(namesOf).map(fold)];
  return names.some((name) => {
    for (let at = plain.indexOf(`@${name}`); at >= 0; at = plain.indexOf(`@${name}`, at + 1)) {
      const after = plain.slice(at + 1 + name.length);
      if (!/[\p{L}\p{N}._%+\-/@]$/u.test(plain.slice(0, at)) && !/^[\p{L}\p{N}_]/u.test(after)) return true;
    }
    return false;
  });
}

/**
 * What is typed after an `@` up to the caret: where it begins, and the beginning of a name; null where there is none.
 * @param {string} text @param {number} caret @returns {{start: number, query: string} | null}
 */
export function mentionAt(text, caret) {
  const found = /(?:^|[^\p{L}\p{N}._%+\-/@])[@＠]([^@\n]{0,60})$/u.exec(text.slice(0, caret));
  if (!found || /^[\p{L}\p{N}_]/u.test(text.slice(caret))) return null;
  const start = caret - found[1].length - 1;
  const before = text.slice(0, start);
  CODE.lastIndex = 0;
  for (const code of text.matchAll(CODE)) if (start >= code.index && start < code.index + code[0].length) return null;
  return (before.match(/`/g)?.length ?? 0) % 2 && !before.slice(before.lastIndexOf("`")).includes("\n") ? null : { start, query: found[1] };
}

/**
 * Those whose names begin with the query, or have a word that does; members first.
 * @param {Mentionable[]} all @param {string} query
 */
export function fittingMentions(all, query) {
  const wanted = fold(query);
  if (wanted.startsWith(" ")) return [];
  const rank = (/** @type {Mentionable} */ one) => {
    const name = fold(one.label);
    if (name.startsWith(wanted)) return 0;
    return name.split(/[\s/:_-]+/u).some((word) => word.startsWith(wanted)) ? 1 : 2;
  };
  return all.map((one, at) => ({ one, at, rank: rank(one) })).filter((found) => found.rank < 2)
    .sort((one, other) => one.rank - other.rank || one.at - other.at).slice(0, MOST).map(({ one }) => one);
}
