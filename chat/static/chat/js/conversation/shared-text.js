/** What another app of a phone shared with this one (the manifest's `share_target`): it goes into the message field. */

const PARTS = ["title", "text", "url"];

/** @param {import("antiphon/conversation/composer").Composer} composer */
export function takeShared(composer) {
  const found = new URLSearchParams(location.search);
  const parts = PARTS.map((name) => found.get(name)?.trim()).filter(Boolean);
  if (!parts.length) return;
  for (const name of PARTS) found.delete(name);
  history.replaceState(history.state, "", location.pathname + (found.size ? `?${found}` : "")); // a reload does not add it again
  const text = [...new Set(parts)].join("\n");
  composer.write([composer.field.value.trim(), text].filter(Boolean).join("\n\n"));
  composer.field.focus();
}
