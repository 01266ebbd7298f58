"""What rules and judges of files withhold from a model, the cases of it, and what reviewers decide about them."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.catalog.access import clear_rules_cache
from chat.conversations.copying import fork
from chat.files.access import may_see
from chat.models import File, Member, Message, ModerationCase
from chat.models.moderation import Action, Direction, ModerationRule
from chat.moderation.rules import clear_rules_cache as clear_moderation
from chat.review.own_cases import known_cases, shown_case
from tests import made_files as made
from tests.fixtures.judged_runs import ScriptedJudge, definition, finds, is_down, panel_of
from tests.fixtures.tool_runs import ScriptedModel, says, worker_with
from tests.fixtures.written_answers import Worker
from tests.integration.chat.review.deciding import DELETE, MASK, RELEASE, decided
from tests.integration.chat.review.deciding import mo as mo  # a fixture
from tests.integration.workers.files.conftest import Keep
from tests.integration.workers.files.test_giving import Window, ask, question, ready, used
from workers.generation.steps import file_screening
from workers.moderation.config import JudgeDefinition
from workers.tools.base import ToolContext
from workers.tools.own.search_conversations import SearchConversations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]

WORD = "crocodile7f"
SAID = f"The {WORD} waits at the river, and the traveller turns back."
FILES = (Action.BLOCK, Direction.FILES)


@pytest.fixture(autouse=True)
def known_rules() -> Any:
    file_screening._clean.clear()
    yield
    clear_rules_cache()
    clear_moderation()


async def rule(action: str, words: str = WORD, **fields: Any) -> ModerationRule:
    made = await in_db(
        lambda: ModerationRule.objects.create(
            name=f"{action} {words}", enabled=True, action=action, directions=[Direction.FILES], words=words, **fields
        )
    )
    clear_moderation()
    return made


async def notes(keep: Keep, owner: User, said: str = SAID, name: str = "notes.txt") -> File:
    return await ready(await in_db(keep, owner, said.encode(), name, "text", "text/plain"))


def judged(judge: ScriptedJudge, *definitions: JudgeDefinition) -> Worker:
    worker = worker_with()
    worker.more["judges"] = panel_of(judge, *(definitions or (definition(*FILES),)))
    return worker


async def given(turn: Any, worker: Worker | None = None, **more: Any) -> str:
    """All that the model gets."""
    worker = worker or worker_with()
    worker.more.update(more)
    model = ScriptedModel(says("Well."))
    await worker.write(turn, model)
    return "\n".join(one.content for one in model.asked[0])


async def case_of(file: File) -> ModerationCase:
    return await in_db(ModerationCase.objects.get, target="file", target_id=file.pk)


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["flag", "mask", "hold", "block"])
async def test_a_rule_opens_a_case_with_the_name_and_the_passage(alice: User, keep: Keep, action: str) -> None:
    made = await rule(action)
    file = await notes(keep, alice, f"{'Words. ' * 200}{SAID}{' Words.' * 200}")
    turn = await ask(alice, "Who waits?", file)
    asked = await given(turn)
    assert (WORD in asked) == (action == "flag")
    assert ("turns back" in asked) == (action in ("flag", "mask"))
    case = await case_of(file)
    assert (case.direction, case.action, case.person_id, case.origin) == ("files", action, alice.pk, "rule")
    assert case.conversation_id == turn.conversation_id
    assert case.original.startswith("notes.txt\n\n")
    assert len(case.original) < 1_000
    [[start, end]] = case.rules[0]["places"]
    assert case.original[start:end] == WORD
    assert case.rules[0]["version"] == made.version


async def test_later_answers_open_no_further_case(alice: User, keep: Keep, mo: User) -> None:
    await rule("block")
    file = await notes(keep, alice)
    turn = await ask(alice, "Who waits?", file)
    await given(turn)
    case = await case_of(file)
    again = await ask(alice, "And now?", conversation_id=turn.conversation_id)
    assert WORD not in await given(again)
    await in_db(decided, case, mo, RELEASE)
    later = await ask(alice, "And then?", conversation_id=turn.conversation_id)
    assert WORD in await given(later)
    assert await in_db(ModerationCase.objects.count) == 1


async def test_another_rule_or_version_opens_a_case_again(alice: User, keep: Keep, mo: User) -> None:
    made = await rule("block")
    file = await notes(keep, alice)
    turn = await ask(alice, "Who waits?", file)
    await given(turn)
    await in_db(decided, await case_of(file), mo, RELEASE)
    made.notice = "No crocodiles."
    await in_db(made.save)
    clear_moderation()
    again = await ask(alice, "And now?", conversation_id=turn.conversation_id)
    assert WORD not in await given(again)
    newest = await in_db(ModerationCase.objects.exclude(status="decided").get)
    assert (newest.target_id, newest.notice) == (file.pk, "No crocodiles.")


async def test_what_is_found_later_joins_the_case_with_its_passage(alice: User, keep: Keep) -> None:
    await rule("flag")
    file = await notes(keep, alice)
    turn = await ask(alice, "Who waits?", file)
    await given(turn)
    await rule("block", "traveller")
    await given(await ask(alice, "And now?", conversation_id=turn.conversation_id))
    case = await case_of(file)
    assert case.action == "block"
    marked = [case.original[start:end] for one in case.rules for start, end in one["places"]]
    assert marked == [WORD, "traveller"]
    await given(await ask(alice, "And then?", conversation_id=turn.conversation_id))
    assert (await case_of(file)).original == case.original


async def test_a_reviewer_masks_what_was_withheld(alice: User, keep: Keep, mo: User) -> None:
    await rule("block")
    file = await notes(keep, alice)
    turn = await ask(alice, "Who waits?", file)
    await given(turn)
    outcome = await in_db(decided, await case_of(file), mo, MASK)
    assert outcome.effects == ["Models get the file with the matches masked from the next answer on."]
    again = await ask(alice, "And now?", conversation_id=turn.conversation_id)
    assert "The *** waits" in await given(again)


async def test_a_reviewer_deletes_the_file(alice: User, keep: Keep, mo: User) -> None:
    await rule("flag")
    file = await notes(keep, alice)
    await given(await ask(alice, "Who waits?", file))
    assert (await in_db(decided, await case_of(file), mo, DELETE)).effects == ["The file was deleted."]
    assert not await in_db(File.objects.filter(pk=file.pk).exists)


async def test_the_words_between_which_a_file_is_given_are_not_screened(alice: User, keep: Keep) -> None:
    await rule("block", "attached\ninstructions\nuser")
    file = await notes(keep, alice)
    assert SAID in await given(await ask(alice, "Who waits?", file))
    assert not await in_db(ModerationCase.objects.exists)


async def test_a_file_that_a_rule_withholds_is_its_owners_alone(alice: User, bob: User, keep: Keep, mo: User) -> None:
    await rule("block")
    file = await notes(keep, alice)
    turn = await ask(alice, "Who waits?", file)
    await in_db(lambda: Member.objects.create(conversation_id=turn.conversation_id, user=bob, role="editor"))
    assert await in_db(may_see, bob.pk, file.pk)
    await given(turn)
    assert await in_db(may_see, alice.pk, file.pk)
    assert not await in_db(may_see, bob.pk, file.pk)
    copy = await in_db(fork, bob.pk, (await in_db(Message.objects.get, pk=turn.message_id)).pk)
    assert not await in_db(File.objects.filter(conversation=copy).exists)
    await in_db(decided, await case_of(file), mo, RELEASE)
    assert await in_db(may_see, bob.pk, file.pk)


async def test_its_owner_reads_of_it_among_their_cases(alice: User, keep: Keep) -> None:
    await rule("block")
    file = await notes(keep, alice)
    await given(await ask(alice, "Who waits?", file))
    [shown] = await in_db(lambda: [shown_case(case) for case in known_cases(alice)])
    assert (shown["what"], shown["happened"]) == ("A file that you attached", "Withheld from the model")
    assert shown["reason"] == "The model did not get this file because of this site's rules."
    assert WORD not in json.dumps(shown, default=str)


async def test_a_models_search_finds_nothing_that_rules_withhold(alice: User, keep: Keep, mo: User) -> None:
    await rule("mask")
    await rule("block", "traveller")
    masked = await notes(keep, alice, f"The {WORD} waits at the harbour.", "a.txt")
    withheld = await notes(keep, alice, "A traveller waits at the harbour.", "b.txt")
    clean = await notes(keep, alice, "A boat waits at the harbour.", "c.txt")
    turn = await ask(alice, "Look", masked, withheld, clean)

    async def found() -> str:
        context = ToolContext(alice.pk, turn.conversation_id, turn.run_id, uuid.uuid4(), time.monotonic() + 30)
        return (await SearchConversations("harbour", 20).run(context)).text

    said = await found()
    assert "The *** waits" in said
    assert "A boat waits" in said
    assert "traveller" not in said
    await in_db(lambda: ModerationRule.objects.all().delete())
    clear_moderation()
    assert "traveller" in await found()
    judge = ScriptedJudge(finds("traveller"))
    await given(turn, judged(judge))
    assert "traveller" not in await found(), "a judge withholds it"


# --- judges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.FLAG, Action.HOLD, Action.BLOCK])
async def test_a_judge_reads_names_and_texts(alice: User, keep: Keep, action: Action) -> None:
    file = await notes(keep, alice)
    turn = await ask(alice, "Who waits?", file)
    judge = ScriptedJudge(finds(WORD))
    asked = await given(turn, judged(judge, definition(action, Direction.FILES)))
    assert judge.texts == [f"notes.txt\n\n{SAID}"]
    assert (WORD in asked) == (action is Action.FLAG)
    case = await case_of(file)
    assert (case.origin, case.action, case.original) == ("judge", action.value, f"notes.txt\n\n{SAID}")
    if action is not Action.FLAG:
        assert await used(turn) == [("none", 0, 1, "moderated")]


async def test_a_judge_gets_what_rules_have_masked(alice: User, keep: Keep) -> None:
    await rule("mask")
    judge = ScriptedJudge()
    await given(await ask(alice, "Who?", await notes(keep, alice)), judged(judge))
    assert judge.texts == ["notes.txt\n\nThe *** waits at the river, and the traveller turns back."]


async def test_a_judge_that_sees_reads_images(alice: User, keep: Keep) -> None:
    content = made.image((64, 48))
    file = await ready(await in_db(keep, alice, content, "map.png", "image", "image/png"))
    judge = ScriptedJudge()
    judge.sees = True
    judge.finds_in_picture = lambda _content: finds("x")("x")
    turn = await ask(alice, "", file)
    model = ScriptedModel(says("Well."))
    worker = judged(judge)
    worker.more["models"] = Window(32_000, sees=True)
    await worker.write(turn, model)
    assert not question(model).images
    assert "do not let you have its contents" in question(model).content
    assert [one.media_type for one in judge.pictures] == ["image/png"]
    assert (await case_of(file)).original == "map.png"


async def test_a_judge_is_not_asked_again_about_the_same(alice: User, keep: Keep) -> None:
    file = await notes(keep, alice)
    judge = ScriptedJudge()
    judges = definition(*FILES)
    turn = await ask(alice, "Who waits?", file)
    await given(turn, judged(judge, judges))
    again = await ask(alice, "And now?", conversation_id=turn.conversation_id)
    assert SAID in await given(again, judged(judge, judges))
    assert len(judge.texts) == 1


@pytest.mark.parametrize("released", [False, True])
async def test_what_a_judge_has_found_counts_until_a_reviewer_decides(
    alice: User, keep: Keep, mo: User, released: bool
) -> None:
    file = await notes(keep, alice)
    judge, judges = ScriptedJudge(finds(WORD)), definition(*FILES)
    turn = await ask(alice, "Who waits?", file)
    await given(turn, judged(judge, judges))
    if released:
        await in_db(decided, await case_of(file), mo, RELEASE)
    again = await ask(alice, "And now?", conversation_id=turn.conversation_id)
    assert (WORD in await given(again, judged(judge, judges))) == released
    assert len(judge.texts) == 1, "it has said what it thinks of this file"
    assert await in_db(ModerationCase.objects.count) == 1


@pytest.mark.parametrize("closed", [False, True])
async def test_a_judge_that_is_away(alice: User, keep: Keep, closed: bool) -> None:
    file = await notes(keep, alice)
    judge, judges = ScriptedJudge(is_down), definition(*FILES, closed=closed)
    turn = await ask(alice, "Who waits?", file)
    assert (WORD in await given(turn, judged(judge, judges))) != closed
    assert await used(turn) == [("none", 0, 1, "unchecked") if closed else ("full", 1, 1, "")]
    judge.finds = finds(WORD)
    again = await ask(alice, "And now?", conversation_id=turn.conversation_id)
    assert WORD not in await given(again, judged(judge, judges)), "the next answer has it judged"
