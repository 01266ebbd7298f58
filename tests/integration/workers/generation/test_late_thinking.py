"""A model whose server leaves out the opening tag of its thinking: the first answer, the next ones, and one without."""

from __future__ import annotations

import pytest

from tests.client import session
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]

THINKING = "Two and two.\n\nThat is even."
ANSWER = "It is **even**.\n"
RAW = f"{THINKING}\n</think>\n\n{ANSWER}"


async def test_the_first_answer_is_mended_at_its_end_and_the_next_ones_are_read_right(
    stack: Stack, upstream: FakeOpenAI
) -> None:
    async with session(stack.url, "alice@example.org") as alice:
        client, other = await alice.connect(), await alice.connect(at=stack.webs[1].url)
        upstream.play(Script(text=RAW, rate=200))
        accepted = await client.say("Is four even?")
        conversation, first = accepted["conversation_id"], accepted["run_id"]
        await other.ask("subscribe", conversation_id=conversation)
        run = await client.ended(first)
        assert run["ended"] == "run.done"
        [row] = stack.sql(
            "SELECT r.*, m.text AS answer, m.html, t.text AS reasoning FROM chat_run r "
            "JOIN chat_message m ON m.id = r.message_id JOIN chat_reasoning t ON t.run_id = r.id WHERE r.id = %s",
            first,
        )
        assert (row["answer"], row["reasoning"]) == (ANSWER, THINKING)
        assert "<strong>even</strong>" in row["html"]
        assert row["reasoning_chars"] == len(THINKING)
        assert row["output_tokens"] > row["reasoning_tokens"] > 0, "it is counted"
        assert row["reasoning_ms"] > 0
        for reader in (client, other):
            answer = (await reader.ask("subscribe", conversation_id=conversation))["snapshot"]["messages"][-1]
            assert (answer["text"], answer["run"]["reasoning"]["text"]) == (ANSWER, THINKING)

        upstream.play(Script(text=RAW, rate=200))
        accepted = await client.say("Is it really?", conversation)
        run = await client.ended(accepted["run_id"])
        assert (run["text"], run["reasoning"]) == (ANSWER, THINKING)
        deltas = [one for one in client.frames if one["type"] == "run.delta" and one["run_id"] == accepted["run_id"]]
        assert "".join(one["text"] for one in deltas) == ANSWER, "nothing of it was shown as text"
        sent = upstream.chats[-1].body["messages"]
        assert [turn["content"] for turn in sent][-3:] == ["Is four even?", ANSWER, "Is it really?"]

        for _ in range(2):  # the server was set up to separate it, or the model does not think any more
            upstream.play(Script(text="It is."))
            run = await client.ended((await client.say("And now?", conversation))["run_id"])
            assert run["text"] == "It is."
        assert not run["reasoning"], "nothing is presumed of it any more"
