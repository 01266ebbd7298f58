/** What is said of files. Kept level with chat/templatetags/chat_files.py. */

import { spellSize } from "antiphon/conversation/step-words";
import { isolate } from "antiphon/lib/names";
import { t, tn } from "antiphon/lib/texts";

/** @typedef {import("antiphon/files/requests").FileObject} FileObject */
/**
 * @typedef {object} Use what a model got of a file
 * @property {string} id
 * @property {string | null} name null: it was deleted
 * @property {"image" | "full" | "passages" | "none" | "collection"} use
 * @property {number} given
 * @property {number} total
 * @property {string} [reason] for a person
 */

const KINDS = /** @type {Record<string, string>} */ ({
  image: t("Image"), pdf: "PDF", document: t("Document"), table: t("Table"), text: t("Text"), other: t("File"),
});

/** @param {string} kind */
export function kindWords(kind) {
  return KINDS[kind] ?? KINDS.other;
}

/** What a file is, how large, and how far it was read. @param {FileObject} file */
export function fileWords(file) {
  const parts = [kindWords(file.kind), spellSize(file.size)];
  if (file.kind === "pdf" && file.parts) parts.push(tn("{count} page", "{count} pages", file.parts));
  return [...parts, stateWords(file)].filter(Boolean).map(isolate).join(" · ");
}

/** @param {FileObject} file */
export function stateWords(file) {
  if (file.state === "pending") return t("being read…");
  if (file.state === "failed") return file.reason ? t("not readable: {reason}", { reason: file.reason }) : t("not readable");
  if (file.state === "empty" && file.kind !== "image") return file.reason || t("no text found");
  if (file.state === "read") return file.reason ?? "";
  return "";
}

/** What the model got of one file. @param {Use} use */
export function useWords(use) {
  const { given, total } = use;
  const name = isolate(use.name ?? t("a deleted file"));
  if (use.use === "image") return name;
  if (use.use === "collection") {
    if (!given) return use.reason ? t("nothing of {name}: {reason}", { name, reason: use.reason }) : t("nothing of {name}", { name });
    const files = given === total ? tn("{count} file of {name}", "all {count} files of {name}", total, { name }) : tn("{given} of {count} file of {name}", "{given} of {count} files of {name}", total, { given, name });
    return use.reason ? `${files} (${use.reason})` : files;
  }
  if (use.use === "full") return use.reason ? `${t("all of {name}", { name })} (${use.reason})` : t("all of {name}", { name });
  if (use.use === "none") return use.reason ? t("nothing of {name}: {reason}", { name, reason: use.reason }) : t("nothing of {name}", { name });
  const words = total > 1 ? tn("{given} of {count} page of {name}", "{given} of {count} pages of {name}", total, { given, name }) : t("passages of {name}", { name });
  return use.reason ? `${words} (${use.reason})` : words;
}
