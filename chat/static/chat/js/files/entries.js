/** The files in what was dropped, also in folders. */

const MOST = 200; // that are looked at: a message can have far fewer

/** @param {(FileSystemEntry | File | null)[]} dropped @param {number} [most] @returns {Promise<File[]>} */
export async function readEntries(dropped, most = MOST) {
  /** @type {File[]} */
  const found = [];
  const waiting = [...dropped];
  while (waiting.length && found.length < most) {
    const one = waiting.shift();
    if (one instanceof File) found.push(one);
    else if (one?.isFile) await fileOf(/** @type {FileSystemFileEntry} */ (one)).then((file) => found.push(file), () => {});
    else if (one?.isDirectory) waiting.push(...(await childrenOf(/** @type {FileSystemDirectoryEntry} */ (one))));
  }
  return found;
}

/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** @param {FileSystemDirectoryEntry} folder @returns {Promise<FileSystemEntry[]>} */
async function childrenOf(folder) {
  const reader = folder.createReader();
  /** @type {FileSystemEntry[]} */
  const all = [];
  for (;;) {
    /** @type {FileSystemEntry[]} a browser returns some at a time */
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length || all.length > 1000) return all.filter((one) => !one.name.startsWith("."));
    all.push(...some);
  }
}
