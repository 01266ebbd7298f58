"""Long conversations in a running system: windows listed and learnt, what is left out, and summaries.

The model server reads so many tokens and counts them with a tokenizer of its own, one token for two characters.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Generator
from typing import Any

import pytest

from tests.client import Client, Session, session
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI, prompt_tokens
from tests.fixtures.stacks import SHARED, stack_with_model
from tests.stack import Stack
from workers.generation.context import SUMMARY_HEAD
from workers.generation.summary_plan import INSTRUCTION

pytestmark = pytest.mark.asyncio(loop_scope="function")
LONG = "word " * 300  # 750 tokens there, 300 by the estimate
WAIT_SECONDS = 30.0


@pytest.fixture(scope="module")
def long_system() -> Generator[tuple[Stack, FakeOpenAI], None, None]:
    with stack_with_model(web=1, workers=1, env=SHARED) as running:
        yield running


@pytest.fixture
def stack(long_system: tuple[Stack, FakeOpenAI]) -> Stack:
    return long_system[0]


@pytest.fixture
def upstream(long_system: tuple[Stack, FakeOpenAI]) -> FakeOpenAI:
    return long_system[1]


def begin(stack: Stack, upstream: FakeOpenAI, *, window: int = 0, listed: bool = False) -> None:
    """Models with this window; `listed`: their list says so. The worker starts again, and nothing is learnt yet."""
    [worker] = stack.workers
    worker.stop()
    stack.sql("TRUNCATE workers_modelfact, chat_conversation, accounts_usageentry CASCADE")
    upstream.reset()
    upstream.models, upstream.script = ["small", "large"], Script(tokens=3)
    upstream.window, upstream.listed_window = window, window if listed else 0
    worker.restart()


async def ask(client: Client, text: str, conversation: str | None = None, **more: Any) -> dict[str, Any]:
    """The closing event of an answer, with the conversation's id."""
    accepted = await client.say(text, conversation, **more)
    run = await client.ended(accepted["run_id"])
    return {**run["final"], "conversation_id": accepted["conversation_id"]}


async def post(person: Session, path: str, **data: str) -> Any:
    return await (await person.post(path, data)).json()


async def fill(client: Client, questions: int) -> dict[str, Any]:
    """A conversation of long questions; its last closing event."""
    final: dict[str, Any] = {}
    for number in range(questions):
        final = await ask(client, f"{number} {LONG}", final.get("conversation_id"))
    return final


async def until(ready: Any, what: str) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := ready()):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)
    return found


def answers(upstream: FakeOpenAI) -> list[Any]:
    """The requests for answers, without those for summaries."""
    return [chat.body for chat in upstream.chats if chat.body["messages"][0]["content"] != INSTRUCTION]


async def test_a_refused_prompt_is_fitted_again_and_the_window_is_learnt_and_shared(
    stack: Stack, upstream: FakeOpenAI
) -> None:
    begin(stack, upstream, window=4096)
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        final = await fill(client, 7)
        assert final["type"] == "run.done"
        context = final["context"]
        left_out = context["dropped"] > 0 or stack.sql("SELECT id FROM chat_summary")  # it may have come in time
        assert (context["window"], bool(left_out), 0 < context["used"] <= 4096) == (4096, True, True)
        sent = answers(upstream)[-1]["messages"]
        assert sent[-1]["content"].startswith("6 word")
        assert sent[0]["role"] == "system"
        stored = await until(lambda: stack.sql('SELECT * FROM workers_modelfact WHERE "window" IS NOT NULL'), "stored")
        assert (stored[0]["model"], stored[0]["window"], stored[0]["window_at"] is not None) == ("small", 4096, True)
        assert stored[0]["endpoint"] == f"127.0.0.1:{upstream.port}"
        [run] = stack.sql(
            "SELECT context_window, context_dropped, input_tokens FROM chat_run ORDER BY created_at DESC LIMIT 1"
        )
        assert [run["input_tokens"], run["context_window"], run["context_dropped"]] == list(context.values())
        await client.close()


async def test_the_count_is_learnt_from_usage_so_that_a_listed_window_is_never_overrun(
    stack: Stack, upstream: FakeOpenAI
) -> None:
    begin(stack, upstream, window=8192, listed=True)
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        final = await fill(client, 14)
        assert final["type"] == "run.done"
        assert final["context"]["used"] == prompt_tokens(answers(upstream)[-1])
        assert all(prompt_tokens(body) <= 8192 for body in answers(upstream)), "none was refused"
        await client.close()


async def test_no_body_at_all_is_tried_once_more_with_less(stack: Stack, upstream: FakeOpenAI) -> None:
    begin(stack, upstream)
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        first = await fill(client, 5)
        upstream.play(Script(body="raw", text=""))
        final = await ask(client, "And now?", first["conversation_id"])
        assert (final["type"], final["context"]["dropped"] > 0) == ("run.done", True)
        before, after = (body["messages"] for body in answers(upstream)[-2:])
        assert len(after) < len(before)
        assert (before[0], before[-1]) == (after[0], after[-1])
        upstream.play(Script(body="raw", text=""), times=2)
        failed = await ask(client, "And then?", first["conversation_id"])
        assert (failed["type"], failed["code"]) == ("run.failed", "upstream_empty")
        await client.close()


async def test_a_question_longer_than_the_window_is_refused_in_figures(stack: Stack, upstream: FakeOpenAI) -> None:
    begin(stack, upstream, window=1024)
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        final = await ask(client, LONG * 4)
        assert (final["type"], final["code"]) == ("run.failed", "context_too_long")
        assert "Your message is too long for this model" in final["message"]
        assert "at most 1,024" in final["message"]
        await client.close()


async def summarised(alice: Session, stack: Stack, upstream: FakeOpenAI) -> tuple[Client, str, dict[str, Any]]:
    """A conversation that was filled until a summary was made; its client, its id and the summary."""
    begin(stack, upstream, window=8192, listed=True)
    client = await alice.connect()
    first = await ask(client, f"0 {LONG}")
    for number in range(1, 9):
        await ask(client, f"{number} {LONG}", first["conversation_id"])
        if [frame for frame in client.frames if frame["type"] == "summary.changed"]:
            break
    await until(lambda: [frame for frame in client.frames if frame["type"] == "summary.changed"], "a summary")
    [changed] = [frame for frame in client.frames if frame["type"] == "summary.changed"]
    return client, first["conversation_id"], changed["summary"]


async def test_a_summary_is_made_used_shown_undone_and_used_again(stack: Stack, upstream: FakeOpenAI) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client, conversation, summary = await summarised(alice, stack, upstream)
        [asked] = [chat.body for chat in upstream.chats if chat.body["messages"][0]["content"] == INSTRUCTION]
        assert "User:\n0 word" in asked["messages"][1]["content"]
        assert (summary["used"], summary["text"]) == (True, "tok0 tok1 tok2")
        [entry] = stack.sql("SELECT * FROM accounts_usageentry WHERE purpose = 'summary'")
        assert (entry["user_id"], str(entry["conversation_id"]), entry["messages"]) == (None, conversation, 0)
        assert entry["input_tokens"] == prompt_tokens(asked)

        final = await ask(client, "And now?", conversation)
        sent = answers(upstream)[-1]["messages"]
        assert f"{SUMMARY_HEAD}\n{summary['text']}" in sent[0]["content"]
        assert not any(turn["content"].startswith("0 word") for turn in sent)
        assert final["context"]["dropped"] == 0

        async with alice.http.get(f"{stack.url}/c/{conversation}/") as response:
            page = await response.text()
        assert "Earlier messages were summarised" in page
        url = f"/c/{conversation}/summaries/{summary['id']}/"
        undone = await post(alice, url, used="0")
        assert undone["summary"]["used"] is False
        await until(
            lambda: [f for f in client.frames if f["type"] == "summary.changed" and not f["summary"]["used"]], "told"
        )
        await ask(client, "Once more?", conversation)
        sent = answers(upstream)[-1]["messages"]
        assert SUMMARY_HEAD not in sent[0]["content"]
        assert sum(turn["role"] == "user" for turn in sent) > 3, "the messages themselves are sent again"
        await asyncio.sleep(0.5)
        assert stack.sql("SELECT count(*) AS n FROM chat_summary WHERE used")[0]["n"] == 0, "none is made again"
        await post(alice, url, used="1")
        await ask(client, "Again?", conversation)
        assert SUMMARY_HEAD in answers(upstream)[-1]["messages"][0]["content"]
        async with session(stack.url, "mallory@example.org") as mallory:
            assert (await post(mallory, url, used="0"))["code"] == "not_found"
        await client.close()


async def test_other_branches_and_changed_messages_do_without_it(stack: Stack, upstream: FakeOpenAI) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client, conversation, _ = await summarised(alice, stack, upstream)
        rows = stack.sql(
            "SELECT id, role FROM chat_message WHERE conversation_id = %s ORDER BY created_at", uuid.UUID(conversation)
        )
        accepted = await client.ask(
            "message.edit", message_id=str(rows[2]["id"]), text="Something else", client_id=str(uuid.uuid4())
        )
        await client.ended(accepted["run_id"])
        sent = answers(upstream)[-1]["messages"]
        assert SUMMARY_HEAD not in sent[0]["content"], "a branch from within what it covers"
        assert sent[1]["content"].startswith("0 word")

        last = [row for row in rows if row["role"] == "user"][-1]
        accepted = await client.ask(
            "message.edit", message_id=str(last["id"]), text="Another end", client_id=str(uuid.uuid4())
        )
        await client.ended(accepted["run_id"])
        assert SUMMARY_HEAD in answers(upstream)[-1]["messages"][0]["content"], "a branch after it"

        stack.sql("UPDATE chat_message SET text = text || '!' WHERE id = %s", rows[-1]["id"])
        assert stack.sql("SELECT 1 FROM chat_summary") != [], "a message that it does not cover"
        stack.sql("UPDATE chat_message SET text = '(erased)' WHERE id = %s", rows[0]["id"])
        assert stack.sql("SELECT 1 FROM chat_summary") == []
        await ask(client, "And now?", conversation)
        assert SUMMARY_HEAD not in answers(upstream)[-1]["messages"][0]["content"]
        await client.close()
