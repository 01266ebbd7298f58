/** Text of tables as tables: with tabs, commas or semicolons between the cells (RFC 4180). Pure, but for `tableOf`. */

const MOST_ROWS = 500;
const MOST_CELLS = 50; // of a row

/** @param {string} text */
function separatorOf(text) {
  const first = text.slice(0, text.indexOf("\n") < 0 ? undefined : text.indexOf("\n"));
  const counts = ["\t", ";", ",", " | "].map((one) => /** @type {const} */ ([one, first.split(one).length]));
  const [best, count] = counts.reduce((a, b) => (b[1] > a[1] ? b : a));
  return count > 1 ? best : "";
}

/** @param {string} text */
export function isTable(text) {
  return separatorOf(text) !== "";
}

/** @param {string} text @param {number} [most] rows @returns {{rows: string[][], left: number}} */
export function readRows(text, most = MOST_ROWS) {
  const separator = separatorOf(text);
  const rows = /** @type {string[][]} */ ([]);
  let left = 0;
  let row = /** @type {string[]} */ ([]);
  let cell = "";
  let quoted = false;
  const end = () => {
    if (row.length || cell.trim()) rows.length < most ? rows.push([...row, cell].slice(0, MOST_CELLS)) : (left += 1);
    row = [];
    cell = "";
  };
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') cell += text[(at += 1)];
      else quoted = false;
    } else if (sign === '"' && !cell) quoted = true;
    else if (separator && text.startsWith(separator, at)) {
      row.push(cell);
      cell = "";
      at += separator.length - 1;
    } else if (sign === "\n") end();
    else if (sign !== "\r") cell += sign;
  }
  end();
  return { rows, left };
}

/** @param {string} text */
export function tableOf(text) {
  const { rows, left } = readRows(text);
  const element = document.createElement("table");
  for (const [at, row] of rows.entries()) {
    const line = element.insertRow();
    for (const cell of row) {
      const place = document.createElement(at ? "td" : "th");
      if (!at) place.scope = "col";
      place.dir = "auto";
      place.textContent = cell;
      line.append(place);
    }
  }
  return { element, left };
}
