/** Changes elements into others in place: what is equal stays, with its selection, its scroll position and its focus. */

const CONTAINERS = new Set(["BLOCKQUOTE", "LI", "OL", "P", "PRE", "TABLE", "TBODY", "TD", "TH", "THEAD", "TR", "UL", "DIV", "HR", "H1", "H2", "H3", "H4", "H5", "H6"]);

/**
 * Makes the children of `parent` from `first` on equal to `nodes`, which are used up.
 * @param {Node} parent @param {Node[]} nodes @param {number} [first]
 */
export function morph(parent, nodes, first = 0) {
  let at = parent.childNodes[first] ?? null;
  for (const node of nodes) {
    if (!at) parent.appendChild(node);
    else {
      const next = at.nextSibling;
      change(at, node);
      at = next;
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** @param {any} old @param {any} fresh */
function change(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || isOther(old, fresh)) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (fresh.data.startsWith(old.data)) {
      if (fresh.length > old.length) old.appendData(fresh.data.slice(old.length));
    } else old.data = fresh.data;
    return undefined;
  }
  if (old.isEqualNode(fresh)) return undefined;
  if (old.dataset?.tex !== undefined) {
    if (old.dataset.tex !== (fresh.dataset.tex ?? fresh.textContent) || old.className !== fresh.className) old.replaceWith(fresh);
    return undefined; // a formula that is set already
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  return morph(old, [...fresh.childNodes]);
}

/** Whether two `div` are different things, such as plain text and a code block. @param {any} old @param {any} fresh */
function isOther(old, fresh) {
  return old.nodeName === "DIV" && old.classList[0] !== fresh.classList[0];
}

/**
 * The content of an HTML string that the server sanitised, without the line ends between its blocks, which nobody sees.
 * @param {string} html
 */
export function fromServer(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const walker = document.createTreeWalker(template.content, NodeFilter.SHOW_TEXT);
  /** @type {Text[]} */
  const texts = [];
  while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
  for (const text of texts) {
    if (text.parentElement?.closest("pre, .math, .plain")) continue;
    const { previousSibling: before, nextSibling: after } = text;
    const inside = !text.parentElement || CONTAINERS.has(text.parentElement.tagName);
    let words = text.data;
    if (before ? before.nodeName === "BR" || CONTAINERS.has(before.nodeName) : inside) words = words.replace(/^\n+/, "");
    if (after ? CONTAINERS.has(after.nodeName) : inside) words = words.replace(/\n+$/, "");
    if (!words) text.remove();
    else if (words !== text.data) text.data = words;
  }
  return template.content;
}
