/** Pictures of images that this page uploaded: they are shown until the server has made its own. */

const MOST = 50;

/** Addresses in this page, by the file's id. @type {Map<string, string>} */
const pictures = new Map();

/** @param {string} id @param {string} url */
export function keepPicture(id, url) {
  pictures.set(id, url);
  const [oldest] = pictures;
  if (pictures.size <= MOST) return;
  URL.revokeObjectURL(oldest[1]);
  pictures.delete(oldest[0]);
}

/** @param {string} id */
export function pictureOf(id) {
  return pictures.get(id) ?? "";
}
