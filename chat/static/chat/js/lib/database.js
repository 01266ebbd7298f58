/**
 * The messages that wait in this browser to be sent (IndexedDB): they outlive their tab. Without a database, because it
 * is blocked or full, nothing is stored, and the page works without. `log-out.js` empties it.
 */

const NAME = "antiphon";
const STORE = "outbox";

/** @typedef {import("antiphon/wire/protocol").Frame} Frame */
/**
 * @typedef {object} Stored
 * @property {string} clientId
 * @property {string} userId
 * @property {string | null} conversationId null for a conversation that its first message creates
 * @property {string} tab the tab that sends it
 * @property {number} at when it was written, in ms since 1970
 * @property {boolean} sent whether the server may have it already
 * @property {Frame} command
 * @property {import("antiphon/files/requests").FileObject[]} [files] that are attached, to show them
 */

/** @type {Promise<IDBDatabase> | undefined} */
let opened;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "clientId" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

/**
 * @template T
 * @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<T>} use
 * @returns {Promise<T | undefined>} undefined when there is no database
 */
async function run(mode, use) {
  try {
    const database = await open();
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = use(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } catch {
    return undefined;
  }
}

/** @param {Stored} message */
export function storeMessage(message) {
  return run("readwrite", (store) => store.put(message));
}

/** @param {string} clientId */
export function forgetMessage(clientId) {
  return run("readwrite", (store) => store.delete(clientId));
}

/** The user's messages, oldest first. @param {string} userId @returns {Promise<Stored[]>} */
export async function storedMessages(userId) {
  const all = /** @type {Stored[]} */ ((await run("readonly", (store) => store.getAll())) ?? []);
  return all.filter((message) => message.userId === userId).sort((a, b) => a.at - b.at);
}
