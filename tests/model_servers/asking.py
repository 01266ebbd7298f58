"""Asks a model server through a running stack: from the socket through a worker to the server and back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from typing import Any, Final

from tests.client import Client, Session, session
from tests.stack import Stack, run_stack

ALICE: Final = "alice@example.org"
ADMIN: Final = "bob@example.org"
OFF: Final = {"OLLAMA_URL": "http://127.0.0.1:9", "ANSWER_MAX_CHARS": "200000"}  # the environment of every stack here
BOTH: Final = ("environment", "admin")  # where an endpoint is set up
SECONDS: Final = 120.0  # for whatever a busy machine has to do


@contextlib.contextmanager
def connected(where: str, url: str, *, key: str = "", kind: str = "openai_chat", model: str = "") -> Generator[Stack]:
    """A stack with one endpoint, set up in the environment or in the admin. `model` names one that it does not list."""
    values = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": key, "OPENAI_KIND": kind, "CHAT_MODELS": model}
    with run_stack(env={**OFF, **(values if where == "environment" else {})}) as stack:
        if where == "admin":
            asyncio.run(_add_endpoint(stack, url, key, kind, model))
        yield stack


async def _add_endpoint(stack: Stack, url: str, key: str, kind: str, model: str) -> None:
    """Fills the admin's form."""
    stack.sql("UPDATE accounts_user SET is_staff = true, is_superuser = true WHERE email = %s", ADMIN)
    form = {
        "name": "Theirs", "kind": kind, "base_url": f" {url}/ ", "api_key": key, "use": "offered", "position": "10",
        "models-TOTAL_FORMS": str(int(bool(model))), "models-INITIAL_FORMS": "0",
        "models-0-name": model, "models-0-label": "", "models-0-position": "10",
    }  # fmt: skip
    async with session(stack.url, ADMIN) as admin:
        answer = await admin.post("/admin/workers/endpoint/add/", form)
        assert answer.status == 302, (await answer.text())[:5000]


async def offered(alice: Session, model: str) -> None:
    """Waits until the picker lists the model."""
    async with asyncio.timeout(SECONDS):
        while True:
            async with alice.http.get(f"{alice.url}/models/") as page:
                names = [one["id"] for one in (await page.json())["models"]]
            if model in names:
                return
            await asyncio.sleep(0.5)


async def send(client: Client, text: str, model: str, conversation: str | None = None, **fields: Any) -> dict[str, Any]:
    """`message.accepted` of a question to the model; `fields` are those of `message.send`."""
    accepted = await client.say(text, conversation, model=model, **fields)
    assert accepted.get("run_id"), accepted
    return accepted


async def ask(
    client: Client, text: str, model: str, conversation: str | None = None, **fields: Any
) -> tuple[str, dict[str, Any]]:
    """The run's id and how it ended."""
    accepted = await send(client, text, model, conversation, **fields)
    return accepted["run_id"], await client.ended(accepted["run_id"], seconds=SECONDS)


async def ask_and_stop(client: Client, text: str, model: str, conversation: str | None = None) -> dict[str, Any]:
    """`message.accepted` of a question whose answer was stopped after a few words."""
    accepted = await send(client, text, model, conversation)
    await client.until(lambda: len(client.shown(accepted["run_id"])) >= 20, "the first words", SECONDS)
    await client.ask("run.stop", run_id=accepted["run_id"])
    run = await client.ended(accepted["run_id"], seconds=SECONDS)
    assert run["ended"] == "run.stopped", run
    return accepted


async def ask_until_it_answers(client: Client, text: str, model: str) -> dict[str, Any]:
    """A server is back: circuit breakers try again after a while."""
    async with asyncio.timeout(SECONDS):
        while True:
            _, run = await ask(client, text, model)
            if run["ended"] == "run.done":
                return run
            await asyncio.sleep(1)


def run_row(stack: Stack, run_id: str) -> dict[str, Any]:
    [row] = stack.sql("SELECT * FROM chat_run WHERE id = %s", run_id)
    return row
