"""Imported texts are screened by the rules in force: what people wrote, what models answered, titles and prompts."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import User
from chat.models import Conversation, Message, ModerationCase
from chat.review import decisions
from chat.review.decisions import Outcome
from tests.fixtures.cases import make_moderator
from tests.fixtures.moderation_rules import add_rule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_rules", "clean_redis")]

BAD = "Xylophone"


def document(title: str = "Talk", asked: str = f"A {BAD}?", answered: str = f"Yes, a {BAD}.") -> list[Any]:
    """One conversation, as ChatGPT exports it."""

    def node(name: str, parent: str | None, role: str, text: str) -> dict[str, Any]:
        message = {"id": name, "author": {"role": role}, "create_time": 1.7e9,
                   "content": {"content_type": "text", "parts": [text]}}  # fmt: skip
        return {"id": name, "parent": parent, "children": ["b"] if name == "a" else [], "message": message}

    mapping = {"a": node("a", None, "user", asked), "b": node("b", "a", "assistant", answered)}
    return [{"id": "c1", "title": title, "create_time": 1.7e9, "current_node": "b", "mapping": mapping}]


def load(tmp_path: Path, *options: str, **texts: str) -> dict[str, Any]:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps(document(**texts)))
    out = io.StringIO()
    call_command("import_chats", "alice@example.org", str(file), "--json", *options, stdout=out)
    said: dict[str, Any] = json.loads(out.getvalue())
    return said


def texts() -> list[str]:
    return list(Message.objects.order_by("created_at").values_list("text", flat=True))


def test_masked_texts_have_their_original_in_a_case(alice: User, tmp_path: Path) -> None:
    add_rule("mask", BAD, ["asked", "answered", "named"])
    said = load(tmp_path, "--dry-run", title=f"My {BAD}")
    assert (said["screened"], Conversation.objects.count()) == ({"flagged": 0, "masked": 3, "withheld": 0}, 0)
    assert not ModerationCase.objects.exists()
    assert load(tmp_path, title=f"My {BAD}")["screened"]["masked"] == 3
    assert texts() == ["A ***?", "Yes, a ***."]
    assert Conversation.objects.get().title == "My ***"
    cases = {case.target: case for case in ModerationCase.objects.all()}
    assert cases["title"].target_id == Conversation.objects.get().pk
    question = Message.objects.get(role="user")
    found = ModerationCase.objects.get(target_id=question.pk)
    assert (found.original, found.direction, found.person_id) == (f"A {BAD}?", "asked", alice.pk)
    assert question.moderation["case_id"] == str(found.pk)
    assert load(tmp_path)["screened"]["masked"] == 0, "nothing is imported twice"
    assert ModerationCase.objects.count() == 3


@pytest.mark.parametrize("action", ["hold", "block"])
def test_withheld_texts_are_empty_until_a_reviewer_releases_them(alice: User, tmp_path: Path, action: str) -> None:
    add_rule(action, BAD, ["asked", "answered", "named"])
    assert load(tmp_path, title=f"My {BAD}")["screened"] == {"flagged": 0, "masked": 0, "withheld": 3}
    assert texts() == ["", ""]
    assert Conversation.objects.get().title == ""
    assert {one.moderation["action"] for one in Message.objects.all()} == {action}
    by = make_moderator()
    for case in ModerationCase.objects.filter(target="message"):
        decisions.claim(by, case.pk)
        decisions.decide(by, case.pk, Outcome("release"))  # type: ignore[arg-type]
    assert texts() == [f"A {BAD}?", f"Yes, a {BAD}."]


def test_a_flag_leaves_the_texts_and_rules_have_their_directions(alice: User, tmp_path: Path) -> None:
    add_rule("flag", BAD, ["answered"])
    assert load(tmp_path)["screened"] == {"flagged": 1, "masked": 0, "withheld": 0}
    assert texts() == [f"A {BAD}?", f"Yes, a {BAD}."]
    assert ModerationCase.objects.get().target_id == Message.objects.get(role="assistant").pk
