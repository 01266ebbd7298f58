/**
 * The dialogs that most visits never open. Their markup is one piece, loaded with the first of them; the script of each
 * is loaded when it is first opened.
 */

import { FetchError, fetchPiece, loadStyles } from "antiphon/lib/fetch";
import { t } from "antiphon/lib/texts";

/** @type {Promise<void> | null} */
let loading = null;

/** @returns {Record<string, string>} */
function addresses() {
  return JSON.parse(document.getElementById("page")?.textContent ?? "{}").urls;
}

/** The style sheet of the side sheets. @returns {Promise<unknown>} */
export function loadSheetStyles() {
  return loadStyles(addresses().sheets_styles);
}

/** Puts the dialogs into the page, once. Rejects with a `FetchError`; the next call tries again. @returns {Promise<void>} */
function loadMarkup() {
  loading ??= Promise.all([fetchPiece(addresses().sheets), loadSheetStyles()]).then(([piece]) => document.body.append(piece), (error) => {
    loading = null;
    throw error;
  });
  return loading;
}

/** @returns {never} */
function refuse() {
  throw new FetchError(t("This could not be loaded. Try again in a moment."));
}

/**
 * A function that returns what `build` makes of a module, once the dialogs are in the page. It is made once. If something
 * cannot be loaded, the promise is rejected with a `FetchError`, and the next call tries again.
 * @template M, T @param {() => Promise<M>} load the module @param {(module: M) => T} build @returns {() => Promise<T>}
 */
export function lazily(load, build) {
  /** @type {Promise<T> | null} */
  let made = null;
  const make = async () => {
    const [module] = await Promise.all([load().catch(refuse), loadMarkup()]);
    return build(module);
  };
  return () =>
    (made ??= make().catch((error) => {
      made = null;
      throw error;
    }));
}
