/** Pieces of HTML and small commands over HTTP. A session that is over leads to the log-in page. */

/** What went wrong, in words for a person. */
export class FetchError extends Error {}

/** @param {Response} response */
function check(response) {
  if (response.redirected && new URL(response.url).pathname.startsWith("/accounts/")) {
    location.assign(response.url);
    throw new FetchError("Please log in again.");
  }
}

/** @param {string} url @returns {Promise<DocumentFragment>} */
export async function fetchPiece(url) {
  let response;
  try {
    response = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15_000) });
  } catch {
    throw new FetchError("The server cannot be reached. Try again in a moment.");
  }
  check(response);
  if (!response.ok) throw new FetchError(response.status === 404 ? "That is no longer there." : "That did not work. Try again.");
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  return template.content;
}

/** @param {string} url @param {string} csrf @param {Record<string, string>} fields @returns {Promise<any>} */
export async function post(url, csrf, fields = {}) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": csrf, Accept: "application/json" },
      body: new URLSearchParams(fields),
      signal: AbortSignal.timeout(15_000),
    });
  } catch {
    throw new FetchError("The server cannot be reached. Try again in a moment.");
  }
  check(response);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new FetchError(answer.message ?? "That did not work. Try again.");
  return answer;
}
