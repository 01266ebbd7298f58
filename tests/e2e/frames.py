"""Events of the log as the page gets them, and a script that plays them to it."""

from __future__ import annotations

from typing import Any

# Plays events into a transcript of its own; what it then shows, and what each event returned.
PLAY = """async ({ events, snapshot }) => {
    const { Transcript } = await import("antiphon/conversation/transcript");
    const { applyEvent, applySnapshot } = await import("antiphon/wire/apply-events");
    const root = document.createElement("section");
    document.body.append(root);
    const transcript = new Transcript(root, { onChange() {}, onBlock() {}, onWords() {}, onEnd() {} });
    const whole = events.map((event) => applyEvent(transcript, event));
    if (snapshot) whole.push(applySnapshot(transcript, snapshot));
    const shown = transcript.path.map((view) => ({
        id: view.id, status: view.status, text: view.text, words: view.body.innerText.trim(), versions: view.versions,
        thought: view.thinking?.text, folded: view.thinking?.words.textContent, thinks: view.thinking?.active,
    }));
    root.remove();
    return { whole, shown };
}"""


def message(id_: str, parent: str | None, role: str = "user", **fields: Any) -> dict[str, Any]:
    status = "complete" if role == "user" else "pending"
    shown = {"id": id_, "parent_id": parent, "role": role, "author": None, "text": "", "html": None, "run": None}
    return {**shown, "status": status, **fields}


def created(*args: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message.created", "message": message(*args, **fields)}


def run(kind: str, *, attempt: int = 1, **fields: Any) -> dict[str, Any]:
    return {"type": f"run.{kind}", "run_id": "r1", "message_id": "a1", "attempt": attempt, "model": "m", **fields}


def delta(index: int, text: str, attempt: int = 1) -> dict[str, Any]:
    return {"type": "run.delta", "run_id": "r1", "attempt": attempt, "index": index, "text": text}


BEGUN = [created("u1", None, text="hi"), created("a1", "u1", "assistant"), run("queued"), run("started")]
