// Refreshes the dashboard piece by piece: what has not changed, is open or holds the focus stays as it is.

const board = document.querySelector("[data-refresh]");

async function refresh() {
  if (document.hidden) return;
  const stamp = board.querySelector("[data-piece=at]");
  let fresh;
  try {
    const answer = await fetch(location.href, { headers: { "X-Requested-With": "fetch" }, redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    stamp.classList.add("is-old");
    return;
  }
  stamp.classList.remove("is-old");
  for (const old of board.querySelectorAll("[data-piece]")) {
    const piece = fresh.querySelector(`[data-piece="${old.dataset.piece}"]`);
    if (!piece || old.contains(document.activeElement)) continue;
    for (const details of old.querySelectorAll("details[open]")) {
      piece.querySelector(`[data-keep="${details.dataset.keep}"]`)?.setAttribute("open", "");
    }
    if (piece.innerHTML !== old.innerHTML) old.replaceChildren(...piece.childNodes);
  }
}

setInterval(refresh, 1000 * Number(board.dataset.refresh));
document.addEventListener("visibilitychange", refresh);
