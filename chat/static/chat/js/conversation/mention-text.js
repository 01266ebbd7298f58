/** Mentions in a text, without the page. The server decides (chat/turns/mentions.py); this shows beforehand what it will. */

/** @typedef {{id: string, label: string}} Model */
/** @typedef {{value: string, label: string, about: string}} Mentionable */

const MOST = 8; // names that are offered at once

/** @param {string} text */
function fold(text) {
  return text.normalize("NFKD").replace(/[\p{M}\p{Cf}]/gu, "").toLowerCase();
}

/** The names by which a model is known. @param {Model} model */
function namesOf(model) {
  return [model.id, model.label, model.id.slice(model.id.lastIndexOf("/") + 1)].filter(Boolean);
}

/**
 * Where the code of a Markdown text is, as chat/turns/mentions.py finds it: fenced blocks, and what is between backticks
 * within a paragraph.
 * @param {string} text @returns {[number, number][]} start and end
 */
export function codeSpans(text) {
  /** @type {[number, number][]} */
  const spans = [];
  let [fence, began, paragraph, at] = ["", 0, 0, 0];
  for (const line of text.split(/(?<=\n)/)) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? "";
    const end = at + line.length;
    if (fence) {
      if (mark.startsWith(fence) && !line.replaceAll(fence[0], "").trim()) {
        spans.push([began, end]);
        [fence, paragraph] = ["", end];
      }
    } else if (mark || !line.trim()) {
      spans.push(...inlineCode(text, paragraph, at));
      [fence, began, paragraph] = [mark, at, end];
    }
    at = end;
  }
  if (fence) spans.push([began, text.length]);
  else spans.push(...inlineCode(text, paragraph, text.length));
  return spans;
}

/** @param {string} text @param {number} start @param {number} end @returns {[number, number][]} */
function inlineCode(text, start, end) {
  const runs = [...text.slice(start, end).matchAll(/`+/g)].map((run) => ({ at: start + run.index, size: run[0].length }));
  /** The places of the runs of each length, the last one first. @type {Map<number, number[]>} */
  const later = new Map();
  for (let index = runs.length - 1; index >= 0; index -= 1) {
    const { size } = runs[index];
    if (!later.get(size)?.push(index)) later.set(size, [index]);
  }
  /** @type {[number, number][]} */
  const spans = [];
  for (let index = 0; index < runs.length; index += 1) {
    const same = later.get(runs[index].size) ?? [];
    while (same.length && same[same.length - 1] <= index) same.pop();
    const closing = same.at(-1);
    if (closing === undefined) continue;
    spans.push([runs[index].at, runs[closing].at + runs[closing].size]);
    index = closing;
  }
  return spans;
}

/** A text with blanks in place of its code. @param {string} text */
function withoutCode(text) {
  let [plain, at] = ["", 0];
  for (const [start, end] of codeSpans(text)) {
    plain += text.slice(at, start) + " ".repeat(end - start);
    at = end;
  }
  return plain + text.slice(at);
}

/** Whether a text mentions a model, by its name or as `@model`, outside of code. @param {string} text @param {Model[]} models */
export function mentionsModel(text, models) {
  if (!/[@＠]/.test(text)) return false;
  const plain = fold(withoutCode(text));
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
  if (codeSpans(text).some(([from, to]) => start >= from && start < to)) return null;
  // A backtick that is open in this line: code is being written.
  const line = text.slice(text.lastIndexOf("\n", start) + 1, start);
  return (line.match(/`/g)?.length ?? 0) % 2 ? null : { start, query: found[1] };
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
