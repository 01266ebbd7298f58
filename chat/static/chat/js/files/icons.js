/** Signs of files. */

const PAGE = JSON.parse(document.getElementById("page")?.textContent || "{}");
const OWN = ["file", "image", "table", "camera"]; // of the sprite of files
const IMAGES = /\.(?:png|jpe?g|gif|webp|avif|heic|bmp|tiff?|svg)$/i;
const TABLES = /\.(?:csv|tsv|xlsx?|ods)$/i;

/** The name of a file's sign in the sprite, by its kind, or its name while that is not known. @param {string | undefined} kind @param {string} name */
export function fileIcon(kind, name) {
  if (kind === "image" || (!kind && IMAGES.test(name))) return "image";
  if (kind === "table" || (!kind && TABLES.test(name))) return "table";
  return "file";
}

/** A sign for the eye. @param {string} name in the sprite */
export function icon(name) {
  const sprite = OWN.includes(name) ? PAGE.urls?.file_icons : PAGE.urls?.icons;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}
