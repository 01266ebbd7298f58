/** Files of messages that come into a live share. Kept level with templates/shares/files.html. */

import { t } from "antiphon/lib/texts";

const INLINE = ["image", "pdf"]; // that browsers show

/** @param {Element} element of a message @param {any[]} files those that the link shows */
export function showSharedFiles(element, files) {
  element.querySelector(".files")?.remove();
  if (!files.length) return;
  const stream = JSON.parse(document.getElementById("stream")?.textContent || "{}");
  const place = Object.assign(document.createElement("ul"), { className: "files" });
  place.setAttribute("role", "list");
  place.setAttribute("aria-label", t("Files"));
  for (const file of files) {
    const address = (/** @type {string} */ part, /** @type {Record<string, string>} */ query) => {
      const asked = new URLSearchParams({ ...query, ...(stream.key ? { key: stream.key } : {}) });
      return `${stream.url.replace(/events$/, "files/")}${file.id}/${part}${asked.size ? `?${asked}` : ""}`;
    };
    const shown = INLINE.includes(file.kind);
    const link = Object.assign(document.createElement("a"), { className: "file-open", href: address("", shown ? { view: "1" } : {}) });
    if (shown) Object.assign(link, { target: "_blank", rel: "noopener" });
    else link.download = file.name;
    const item = document.createElement("li");
    item.className = file.thumbnail ? "file has-picture" : "file";
    item.dataset.kind = file.kind;
    item.dataset.state = file.state;
    if (file.thumbnail) {
      const picture = Object.assign(document.createElement("span"), { className: "file-picture" });
      picture.append(Object.assign(document.createElement("img"), { alt: "", src: address("thumbnail/", {}) }));
      link.append(picture);
    }
    const words = Object.assign(document.createElement("span"), { className: "file-words" });
    words.append(Object.assign(document.createElement("span"), { className: "file-name", dir: "auto", textContent: file.name }));
    link.append(words);
    item.append(link);
    place.append(item);
  }
  element.querySelector(".message-body")?.before(place);
}
