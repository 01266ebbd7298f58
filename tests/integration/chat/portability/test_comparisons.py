"""Answers side by side in exports and imports: their places and the choice survive, and Markdown names the others."""

from __future__ import annotations

import io
import json
import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.conversations.snapshot import read_state
from chat.dashboard.period import PERIODS
from chat.dashboard.runs import read_runs
from chat.models import Comparison, Conversation, Member, Message, Run, RunStatus
from chat.portability.export import conversation_data, export_user_data
from chat.portability.import_file import read_file
from chat.portability.importer import import_conversations
from chat.portability.markdown_export import to_markdown
from chat.recovery.repair import repair
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from chat.turns.choosing import accept_choice
from tests.fixtures.run_rows import row, say

MODELS = ["small", "medium", "large"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
def _offered(one_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from chat.catalog import offered_models

    monkeypatch.setattr(offered_models, "published_models", lambda: [{"id": one, "label": one} for one in MODELS])


def compared(user: User, *texts: str) -> Accepted:
    """A question with an answer by each model; one without a text has failed."""
    accepted = say(user, "Which one?", models=MODELS)
    for run, text in zip(accepted.several, texts or ("one", "two", "three"), strict=True):
        status = RunStatus.DONE if text else RunStatus.FAILED
        claim(run.pk, "w")
        assert end_run(run.pk, row(run.pk).attempt, status, Ending(text), owner="w")
    return accepted


def exported(user: User) -> dict[str, Any]:
    data: dict[str, Any] = json.loads("".join(export_user_data(user)))
    return data


def load(user: User, data: dict[str, Any]) -> Conversation:
    file = read_file(io.BytesIO(json.dumps(data).encode()))
    assert [one.reason or one.kind for one in import_conversations(user, file)] == ["new"]
    return Conversation.objects.get(memberships__user=user)


def places(conversation: Conversation) -> dict[int, tuple[str, str]]:
    runs = Run.objects.filter(conversation=conversation).select_related("message")
    return {run.slot: (run.model, run.message.text) for run in runs}


def moved(alice: User, bob: User) -> Conversation:
    """Alice's only conversation, exported and imported as Bob's."""
    return load(bob, exported(alice))


async def shown(conversation: Conversation) -> tuple[int, list[tuple[int | None, str]]]:
    state = await read_state(conversation.pk)
    return state.side_by_side, [(message.get("slot"), message["text"]) for message in state.messages]


async def test_a_choice_survives(alice: User, bob: User) -> None:
    made = await in_db(compared, alice)
    await in_db(accept_choice, alice.pk, made.several[1].message_id)
    theirs = await in_db(moved, alice, bob)
    assert await in_db(places, theirs) == {1: ("small", "one"), 2: ("medium", "two"), 3: ("large", "three")}
    comparison = await in_db(Comparison.objects.select_related("chosen").get, prompt__conversation=theirs)
    assert comparison.chosen is not None
    assert (comparison.size, comparison.chosen.text) == (3, "two")
    assert await shown(theirs) == (0, [(None, "Which one?"), (2, "two")])
    before, after = [await in_db(exported, user) for user in (alice, bob)]
    for old, new in zip(*(one["conversations"][0]["messages"] for one in (before, after)), strict=True):
        assert [old.get(name) for name in ("text", "model", "slot")] == [
            new.get(name) for name in ("text", "model", "slot")
        ]


async def test_an_open_comparison_is_shown_side_by_side_and_can_be_decided(alice: User, bob: User) -> None:
    await in_db(compared, alice)
    theirs = await in_db(moved, alice, bob)
    assert await shown(theirs) == (3, [(None, "Which one?"), (1, "one"), (2, "two"), (3, "three")])
    wanted = await in_db(Run.objects.get, conversation=theirs, slot=3)
    await in_db(accept_choice, bob.pk, wanted.message_id)
    assert await shown(theirs) == (0, [(None, "Which one?"), (3, "three")])


async def test_an_answer_without_text_leaves_the_others_at_their_places(alice: User, bob: User) -> None:
    await in_db(compared, alice, "", "two", "three")
    theirs = await in_db(moved, alice, bob)
    assert await shown(theirs) == (2, [(None, "Which one?"), (2, "two"), (3, "three")])


def test_imported_answers_are_no_work_of_this_site(alice: User, bob: User) -> None:
    compared(alice)
    used, counted = UsageEntry.objects.count(), read_runs(PERIODS["24h"])
    theirs = moved(alice, bob)
    found = read_runs(PERIODS["24h"])
    assert counted is not None
    assert found is not None
    assert (UsageEntry.objects.count(), found.count) == (used, counted.count)
    assert not Run.objects.filter(conversation=theirs).exclude(requested_by=None).exists()
    assert repair(dry_run=True) == []


def change(data: dict[str, Any], role: str, **values: Any) -> None:
    for message in data["conversations"][0]["messages"]:
        if message["role"] == role:
            message.update(values)


@pytest.mark.parametrize(
    ("role", "values"),
    [
        ("user", {"comparison": {"size": 9, "chosen": None}}),
        ("user", {"comparison": {"size": 2, "chosen": None}}),  # there is a third place
        ("user", {"comparison": {"size": 3, "chosen": str(uuid.uuid4())}}),
        ("assistant", {"slot": 1}),
        ("assistant", {"slot": -1}),
        ("assistant", {"model": None}),
        ("assistant", {"model": "m" * 201}),
    ],
)
def test_what_cannot_be_becomes_versions(alice: User, bob: User, role: str, values: dict[str, Any]) -> None:
    compared(alice)
    data = exported(alice)
    change(data, role, **values)
    theirs = load(bob, data)
    assert Message.objects.filter(conversation=theirs).count() == 4
    assert not Comparison.objects.filter(prompt__conversation=theirs).exists()
    assert not Run.objects.filter(conversation=theirs).exists()


def test_no_answer_of_an_open_comparison_goes_on(alice: User, bob: User) -> None:
    made = compared(alice)
    say(alice, "And then?", made.conversation_id)  # chooses
    data = exported(alice)
    change(data, "user", comparison={"size": 3, "chosen": None})
    theirs = load(bob, data)
    assert not Comparison.objects.filter(prompt__conversation=theirs).exists()


def markdown(user: User) -> str:
    return to_markdown(Member.objects.select_related("conversation").get(user=user))


def test_markdown_shows_the_chosen_answer_and_names_the_others(alice: User) -> None:
    made = compared(alice)
    accept_choice(alice.pk, made.several[1].message_id)
    text = markdown(alice)
    assert "## medium\n\ntwo\n\n*(Chosen from several answers; the others are by: small, large)*" in text
    assert "three" not in text


def test_markdown_shows_all_answers_until_one_is_chosen(alice: User) -> None:
    compared(alice)
    text = markdown(alice)
    assert text.endswith(
        "## small\n\none\n\n## medium\n\ntwo\n\n## large\n\nthree\n\n*(None of these answers is chosen yet.)*\n"
    )


def test_one_conversation_has_them_too(alice: User) -> None:
    compared(alice)
    question, *answers = conversation_data(Member.objects.get(user=alice))["messages"]
    assert question["comparison"] == {"size": 3, "chosen": None}
    assert [(one["model"], one["slot"]) for one in answers] == [("small", 1), ("medium", 2), ("large", 3)]
