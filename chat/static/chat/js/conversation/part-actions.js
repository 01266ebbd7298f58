/** What the buttons of code blocks, tables and diagrams do. Loaded with the first press. */

import { WRAP, unfold } from "antiphon/conversation/code";
import { remember } from "antiphon/lib/storage";
import { t, tc } from "antiphon/lib/texts";

/** The ending of a file in each language; others are saved as text. @type {Record<string, string>} */
const ENDINGS = {
  bash: "sh", sh: "sh", shell: "sh", zsh: "sh", powershell: "ps1", bat: "bat", c: "c", cpp: "cpp", "c++": "cpp", csharp: "cs", "c#": "cs",
  css: "css", scss: "scss", less: "less", csv: "csv", diff: "diff", patch: "diff", dockerfile: "dockerfile", elixir: "ex", erlang: "erl",
  go: "go", graphql: "graphql", haskell: "hs", hcl: "tf", terraform: "tf", html: "html", ini: "ini", java: "java", javascript: "js", js: "js",
  json: "json", jsonl: "jsonl", jsx: "jsx", julia: "jl", kotlin: "kt", latex: "tex", tex: "tex", lua: "lua", makefile: "mk", markdown: "md",
  md: "md", mermaid: "mmd", nix: "nix", objectivec: "m", perl: "pl", php: "php", proto: "proto", python: "py", py: "py", r: "r", ruby: "rb",
  rb: "rb", rust: "rs", rs: "rs", scala: "scala", sql: "sql", svelte: "svelte", svg: "svg", swift: "swift", toml: "toml", ts: "ts",
  tsx: "tsx", typescript: "ts", vue: "vue", xml: "xml", yaml: "yaml", yml: "yaml", zig: "zig",
};
const PNG_SCALE = 2; // for sharp text
const PNG_MOST = 8_000; // pixels a side
const FORMULA = /^(?:[=@\t\r]|[+-](?!\d*[.,]?\d+%?$))/; // what a spreadsheet would calculate

/**
 * @param {string} action @param {HTMLElement} button
 * @param {{copy: (text: string) => Promise<void>, say: (words: string) => void, fail: (words: string) => void}} page
 */
export async function actOnPart(action, button, page) {
  const block = /** @type {HTMLElement} */ (button.closest(".code-block, .table-block"));
  const text = () => block.querySelector("pre")?.textContent ?? "";
  switch (action) {
    case "part-wrap": {
      const on = document.documentElement.classList.toggle(WRAP);
      remember(WRAP, on ? "1" : null);
      return page.say(on ? t("Long lines wrap.") : t("Long lines don’t wrap."));
    }
    case "part-unfold":
      unfold(block);
      return block.querySelector("pre")?.focus({ preventScroll: true });
    case "part-preview":
      return (await import("antiphon/conversation/previews")).togglePreview(block, button, page.say);
    case "part-save":
      return save(`code.${ENDINGS[(block.querySelector("pre")?.dataset.language ?? "").toLowerCase()] ?? "txt"}`, new Blob([text()], { type: "text/plain" }));
    case "part-csv-copy":
      return page.copy(csvOf(block));
    case "part-csv":
      return save("table.csv", new Blob(["\ufeff", csvOf(block)], { type: "text/csv" }));
    case "part-view": {
      const code = block.classList.toggle("shows-code");
      const words = button.querySelector("span");
      if (words) words.textContent = code ? t("Diagram") : tc("source of a diagram", "Code");
      return page.say(code ? t("The source is shown.") : t("The diagram is shown."));
    }
    case "part-draw":
      page.say(t("Drawing the diagram."));
      return (await import("antiphon/conversation/diagrams")).draw(text(), true);
    case "part-svg":
    case "part-png":
      return saveDiagram(block, action, page);
    default:
      return undefined;
  }
}

/** @param {string} name @param {Blob} content */
function save(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * A table's cells as RFC 4180 has them. What a spreadsheet would take for a formula is marked as text.
 * @param {Element} block
 */
export function csvOf(block) {
  const rows = [...block.querySelectorAll("tr")].map((row) => [...row.querySelectorAll("th, td")].map(cellOf));
  return rows.map((row) => `${row.join(",")}\r\n`).join("");
}

/** @param {Element} cell */
function cellOf(cell) {
  const copy = /** @type {HTMLElement} */ (cell.cloneNode(true));
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (copy.querySelectorAll(".math[data-tex]"))) one.replaceChildren(`$${one.dataset.tex}$`);
  for (const one of copy.querySelectorAll("br")) one.replaceWith("\n");
  const text = (copy.textContent ?? "").trim();
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {HTMLElement} block @param {string} action @param {{fail: (words: string) => void}} page */
async function saveDiagram(block, action, page) {
  const { drawingOf } = await import("antiphon/conversation/diagrams");
  const drawing = drawingOf(block);
  if (!drawing) return page.fail(t("The diagram is not drawn yet. Try again in a moment."));
  if (action === "part-svg") return save("diagram.svg", new Blob([drawing.svg], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = drawing.url;
  try {
    await image.decode();
    const scale = Math.min(PNG_SCALE, PNG_MOST / Math.max(image.width, image.height));
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width * scale, height: image.height * scale });
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.fillStyle = getComputedStyle(document.body).backgroundColor;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    const content = await new Promise((done) => canvas.toBlob(done, "image/png"));
    if (content) return save("diagram.png", content);
  } catch {
    // said below
  }
  return page.fail(t("This browser can’t save the diagram as PNG. Save it as SVG instead."));
}
