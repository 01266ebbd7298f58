"""What a rule withholds of an answer is shown to nobody, and is nowhere but in the case."""

from __future__ import annotations

import asyncio
import json

import pytest

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import store
from chat.models import ModerationCase, Reasoning
from chat.moderation.answers import rules_for_answer
from chat.protocol.commands import MessageRegenerate, Position
from chat.recovery import reaper
from chat.runs.context import read_branch
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.logged_events import logged
from tests.fixtures.run_rows import row, shift
from tests.fixtures.written_answers import Model, Worker
from tests.integration.workers.generation.screening import (
    BAD,
    LATE,
    answering,
    case_of,
    everything,
    forever,
    texts,
    thought,
)
from tests.integration.workers.generation.screening import quick_rendering as quick_rendering  # a fixture
from tests.integration.workers.generation.screening import turn as turn  # a fixture
from tests.integration.workers.generation.screening import worker as worker  # a fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


async def test_what_is_masked_is_never_shown(turn: Accepted, worker: Worker, alice: User) -> None:
    """In whatever pieces it comes; the case has the original, and the answer says that something was replaced."""
    await in_db(answering, "mask", notice="No music.")
    await worker.write(turn, Model("The ", "Xy", worker.flushed, "lo", worker.flushed, "phone", "s play ", "on."))
    found = await logged(turn)
    assert texts(found) == "The *** play on."
    run, case = await in_db(row, turn.run_id), await in_db(case_of, turn)
    assert (run.status, run.message.text, run.message.html) == ("done", "The *** play on.", "<p>The *** play on.</p>")
    assert run.message.moderation == {"action": "mask", "reason": "No music.", "case_id": str(case.pk)}
    assert (case.original, case.direction, case.person_id) == ("The Xylophones play on.", "answered", alice.pk)
    assert case.rules[0]["places"] == [[4, 14]]
    assert [event["type"] for event in found[-2:]] == ["moderation.notice", "run.done"]
    notice = {"action": "mask", "reason": "No music.", "case_id": str(case.pk)}
    assert notice.items() <= found[-2].items()
    assert (found[-2]["run_id"], found[-2]["message_id"]) == (str(run.pk), str(run.message_id))
    assert BAD not in await in_db(everything)
    state = await read_snapshot(turn.conversation_id)
    assert state.messages[-1]["moderation"] == run.message.moderation


async def test_nothing_is_noted_of_an_answer_without_a_hit(turn: Accepted, worker: Worker) -> None:
    await in_db(answering, "mask")
    await worker.write(turn, Model("All ", "is ", "well."))
    assert (await in_db(row, turn.run_id)).message.moderation == {}
    assert not await in_db(ModerationCase.objects.exists)


async def test_a_flag_opens_a_case_and_nobody_notices(turn: Accepted, worker: Worker) -> None:
    await in_db(answering, "flag")
    await worker.write(turn, Model("The Xylophone plays."))
    run, case = await in_db(row, turn.run_id), await in_db(case_of, turn)
    assert (run.message.text, run.message.moderation, case.action) == ("The Xylophone plays.", {}, "flag")
    assert "moderation.notice" not in [event["type"] for event in await logged(turn)]


@pytest.mark.parametrize("action", ["block", "hold"])
async def test_a_block_closes_the_upstream_and_keeps_what_was_shown(
    turn: Accepted, worker: Worker, action: str
) -> None:
    """The model would never end by itself. What it wrote is billed, as of any answer that was stopped."""
    await in_db(answering, action, notice="No music.")
    model = Model("I know a ", worker.flushed, "Xylo", worker.flushed, "phone that ", "never ends ", forever)
    async with asyncio.timeout(30):
        await worker.write(turn, model)
    assert model.closed
    found = await logged(turn)
    assert texts(found) == "I know a "
    end = found[-1]
    assert (end["type"], end["code"], end["message"]) == (
        "run.stopped", "moderated", "Stopped by this site's rules: No music.",
    )  # fmt: skip
    assert (end["text_length"], end["retryable"], end["continuable"]) == (9, True, False)
    run, case = await in_db(row, turn.run_id), await in_db(case_of, turn)
    assert (run.status, run.message.status, run.message.text) == ("stopped", "stopped", "I know a ")
    assert (run.message.moderation["action"], case.action) == (action, action)
    assert case.original.startswith("I know a Xylophone that ")
    bill = await in_db(UsageEntry.objects.get, run_id=run.pk)
    assert bill.output_tokens >= 6, "also what was withheld"
    assert BAD not in await in_db(everything)
    assert f"I know a {BAD}" not in str((await in_db(read_branch, run.message_id)).path)


async def test_a_block_at_the_very_end_is_found_there(turn: Accepted, worker: Worker) -> None:
    """The last word is held back, because it may go on, until the answer has ended."""
    await in_db(answering, "block")
    await worker.write(turn, Model("I know a ", "Xylophone"))
    run = await in_db(row, turn.run_id)
    assert (run.status, run.error_code, run.message.text) == ("stopped", "moderated", "I know a ")
    assert run.error_message == "This answer was stopped by this site's rules."
    assert texts(await logged(turn)) == "I know a "


async def test_thinking_has_its_own_filter(turn: Accepted, worker: Worker) -> None:
    await in_db(answering, "mask")
    model = Model(thought("A Xylo"), worker.flushed, thought("phone, "), thought("hm."), "All is well.")
    await worker.write(turn, model)
    found = await logged(turn)
    assert (texts(found, "run.reasoning"), texts(found)) == ("A ***, hm.", "All is well.")
    run, case = await in_db(row, turn.run_id), await in_db(case_of, turn)
    assert (await in_db(Reasoning.objects.get)).text == "A ***, hm."
    assert (case.original, case.original_reasoning) == ("All is well.", "A Xylophone, hm.")
    assert case.rules[0]["in"] == "thinking"
    assert run.message.moderation["action"] == "mask"
    assert BAD not in await in_db(everything)


async def test_the_end_of_the_thinking_is_shown_when_the_answer_begins(turn: Accepted, worker: Worker) -> None:
    """What may go on to be a number or an address is held back; thinking goes on no more once text comes."""
    await in_db(answering, "mask", "", pii=["email"])
    shown: list[str] = []

    async def note() -> None:
        await worker.flushed()
        shown.append(texts(await logged(turn), "run.reasoning"))

    model = Model(thought("Well, it is so."), note, "All is ", note, thought(" Or not?"), "well ", note, "here.")
    await worker.write(turn, model)
    assert shown == ["Well, it is ", "Well, it is so.", "Well, it is so. Or not?"]
    assert texts(await logged(turn)) == "All is well here."


async def test_a_block_leaves_the_other_text_whole(turn: Accepted, worker: Worker) -> None:
    await in_db(answering, "block", BAD, pii=["email"])
    await worker.write(turn, Model(thought("Well, it is so."), "I know a Xylophone and more"))
    assert (await in_db(Reasoning.objects.get)).text == "Well, it is so."
    assert (await in_db(row, turn.run_id)).message.text == "I know a "


async def test_a_block_in_thinking_stops_the_answer(turn: Accepted, worker: Worker) -> None:
    await in_db(answering, "block")
    model = Model(thought("Well, a "), worker.flushed, thought("Xylophone it is"), "So ", forever)
    async with asyncio.timeout(30):
        await worker.write(turn, model)
    run = await in_db(row, turn.run_id)
    assert (run.status, run.error_code, run.message.text) == ("stopped", "moderated", "")
    assert (await in_db(Reasoning.objects.get)).text == "Well, a "
    assert BAD not in await in_db(everything)


LONG = "opening one two three four five six seven eight nine ten eleven twelve thirteen closing"


async def test_a_late_block_takes_back_what_was_shown(turn: Accepted, worker: Worker) -> None:
    """A new epoch: no position from before is resumed, and no log has the beginning of the hit."""
    await in_db(answering, "block", "", patterns="\n".join(LATE))
    before: list[Position] = []

    async def note() -> None:
        await worker.flushed()
        before.append((await store.position(turn.conversation_id))[0])

    words = [f"{word} " for word in LONG.split()]
    model = Model("This: ", *words[:8], note, *words[8:], forever)
    async with asyncio.timeout(30):
        await worker.write(turn, model)
    run, case = await in_db(row, turn.run_id), await in_db(case_of, turn)
    assert (run.status, run.error_code, run.message.text) == ("stopped", "moderated", "This: ")
    assert case.original.startswith(f"This: {LONG}")
    here, _ = await store.position(turn.conversation_id)
    assert here.epoch != before[0].epoch
    assert (await store.read(turn.conversation_id, before[0])).entries is None
    assert "opening" not in json.dumps(await logged(turn))
    assert "opening" not in await in_db(everything)
    assert (await read_snapshot(turn.conversation_id)).messages[-1]["text"] == "This: "


async def test_a_hit_longer_than_what_is_searched_is_found_at_the_end(turn: Accepted, worker: Worker) -> None:
    await in_db(answering, "block", "", patterns="\n".join(LATE))
    pieces = [piece for word in LONG.split() for piece in (f"{word} ", worker.flushed)]
    await worker.write(turn, Model("This: ", *pieces, "and on."))
    run = await in_db(row, turn.run_id)
    assert (run.status, run.error_code, run.message.text) == ("stopped", "moderated", "This: ")
    assert "opening" not in await in_db(everything)


async def test_a_late_block_from_the_first_word_on_leaves_nothing(turn: Accepted, worker: Worker) -> None:
    """Also if the process dies between the commit and the append: recovery begins the log anew."""
    await in_db(answering, "block", "", patterns="\n".join(LATE))
    words = [f"{word} " for word in LONG.split()]
    model = Model(*words[:8], worker.flushed, *words[8:], forever)
    writing = await worker.begin(turn, model)
    worker.emitter.close_run = lambda *_: None  # type: ignore[method-assign]
    async with asyncio.timeout(30):
        await writing
    assert "opening" in await in_db(everything)
    await in_db(shift, turn.run_id, finished_at=-60)
    await reaper.close_endings()
    assert (await in_db(row, turn.run_id)).message.text == ""
    assert "opening" not in await in_db(everything)
    await worker.close()


async def test_a_late_mask_hides_the_rest_at_once_and_the_beginning_at_the_end(turn: Accepted, worker: Worker) -> None:
    await in_db(answering, "mask", "", patterns="\n".join(LATE))
    words = [f"{word} " for word in LONG.split()]
    shown: list[str] = []

    async def note() -> None:
        await worker.flushed()
        shown.append(texts(await logged(turn)))

    await worker.write(turn, Model("This: ", *words[:8], worker.flushed, *words[8:], "and on. ", note, "End."))
    assert "closing" not in shown[0]
    assert shown[0].endswith("***and on. ") or shown[0].endswith("*** and on. ")
    run = await in_db(row, turn.run_id)
    assert (run.status, run.message.text) == ("done", "This: *** and on. End.")
    assert "opening" not in await in_db(everything)
    assert (await in_db(case_of, turn)).original == f"This: {LONG} and on. End."


async def test_an_attempt_keeps_its_rules_and_the_next_one_has_the_new_ones(
    turn: Accepted, worker: Worker, alice: User
) -> None:
    await in_db(answering, "mask", "badger")

    async def change() -> None:
        await worker.flushed()
        await in_db(answering, "block")

    await worker.write(turn, Model("A badger ", change, "and a Xylophone."))
    assert (await in_db(row, turn.run_id)).message.text == "A *** and a Xylophone."
    again = MessageRegenerate(message_id=(await in_db(row, turn.run_id)).message_id, client_id=turn.run_id)
    second = await in_db(accept, alice.pk, again)
    await announce(second)
    other = Worker("w2")
    await other.write(second, Model("A badger ", "and a Xylophone."))
    run = await in_db(row, second.run_id)
    assert (run.error_code, run.message.text) == ("moderated", "A *** and a ")


async def test_rules_for_others_and_for_other_models_hold_nothing_back(alice: User) -> None:
    from django.contrib.auth.models import Group

    def check() -> None:
        assert rules_for_answer(alice.pk, "small") is None
        rule = answering("mask", "badger")
        other = answering("block", only_models=["large"])
        assert (found := rules_for_answer(alice.pk, "small")) is not None
        assert [known.id for known in found.known] == [str(rule.pk)]
        assert not found.matcher.find("A Xylophone")
        assert [hit.rule for hit in found.matcher.find("A badger")] == [0]
        assert (found := rules_for_answer(alice.pk, "large")) is not None
        assert {known.id for known in found.known} == {str(rule.pk), str(other.pk)}
        group = Group.objects.create(name="Guests")
        rule.groups.add(group)
        rule.save()
        from chat.moderation.rules import clear_rules_cache

        clear_rules_cache()
        assert rules_for_answer(alice.pk, "small") is None
        alice.groups.add(group)
        assert rules_for_answer(alice.pk, "small") is not None
        assert rules_for_answer(None, "small") is None

    await in_db(check)
