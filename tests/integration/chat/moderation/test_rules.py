"""Moderation rules: in force, for their audience, in the admin, as JSON, on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import AuditEntry, Plan
from chat.models import ModerationRule
from chat.models.moderation import Direction
from chat.moderation.matching.matcher import Action
from chat.moderation.portable import FORMAT, ImportRefused, export_rules, import_rules
from chat.moderation.rules import Audience, check_rule, clear_rules_cache, rules_in_force
from tests.fixtures.people import staff_client

pytestmark = pytest.mark.django_db
ADD = "/admin/chat/moderationrule/add/"
ALL = ("view_moderationrule", "add_moderationrule", "change_moderationrule", "delete_moderationrule")


@pytest.fixture(autouse=True)
def fresh_cache() -> Iterator[None]:
    clear_rules_cache()
    yield
    clear_rules_cache()


def rule(name: str = "Mild words", **fields: Any) -> ModerationRule:
    made = {"enabled": True, "action": "mask", "directions": ["asked"], "words": "damn\nheck"} | fields
    return ModerationRule.objects.create(name=name, **made)


def found(text: str, audience: Audience | None = None, direction: Direction = Direction.ASKED) -> list[str]:
    clear_rules_cache()
    verdict = rules_in_force(direction).screen(text, audience or Audience())
    return [text[hit.start : hit.end] for hit in verdict.hits]


def test_only_enabled_rules_of_the_direction() -> None:
    made = rule()
    rule("Off", enabled=False, words="hello")
    assert found("hello, damn it") == ["damn"]
    assert found("hello, damn it", direction=Direction.ANSWERED) == []
    ModerationRule.objects.filter(pk=made.pk).update(words="hello")
    assert found("hello, damn it") == ["hello"]


def disguised(letter: str, many: int = 200) -> str:
    return "\n".join(f"{letter}{number}" for number in range(many))


def test_rules_that_cannot_be_searched_for_together_leave_the_others_in_force() -> None:
    rule("First", words=disguised("w"), disguised=True)
    rule("Second", words=disguised("v"), disguised=True)
    rule("Third")
    assert found("damn w7 v7") == ["damn", "w7"]


def test_a_rule_that_does_not_fit_to_those_in_force_is_refused() -> None:
    first = rule("First", words=disguised("w"), disguised=True)
    second = ModerationRule(
        name="Second", action="mask", directions=["asked"], words=disguised("v"), disguised=True, enabled=True
    )
    with pytest.raises(ValueError, match="300 words of all rules together"):
        check_rule(second)
    check_rule(first)  # itself does not count twice
    second.directions = ["answered"]
    check_rule(second)


def test_every_change_is_a_new_version() -> None:
    made = rule()
    made.words = "other"
    made.save()
    ModerationRule.objects.filter(pk=made.pk).update(enabled=False)
    made.refresh_from_db()
    assert made.version == 3


def test_audience() -> None:
    pupils, plan = Group.objects.create(name="Pupils"), Plan.objects.create(name="Trial")
    rule().groups.add(pupils)
    rule("For a plan", words="blast").plans.add(plan)
    rule("For a model", words="drat", only_models=["small"])
    text = "damn, blast, drat"
    assert found(text) == []
    assert found(text, Audience(groups=frozenset({pupils.pk}))) == ["damn"]
    assert found(text, Audience(plan=plan.pk, model="small")) == ["blast", "drat"]


def test_the_verdict() -> None:
    rule(notice="Mind your words.", severity=1)
    rule("Plans", action="block", words="secret plan", notice="Not here.", severity=4)
    verdict = rules_in_force(Direction.ASKED).screen("damn the secret plan", Audience())
    assert (verdict.action, verdict.notice, verdict.masked) == (Action.BLOCK, "Not here.", "*** the secret plan")
    # Two that were made in one millisecond may come in either order.
    assert sorted((known.name, known.version) for known in verdict.rules) == [("Mild words", 1), ("Plans", 1)]


def test_a_rule_that_cannot_be_compiled_does_not_switch_off_the_others(caplog: pytest.LogCaptureFixture) -> None:
    rule()
    rule("Broken", words="", patterns="(a")  # such as a newer RE2 refuses
    assert found("damn") == ["damn"]


class TestAdmin:
    def post(self, client: Client, path: str = ADD, **fields: Any) -> Any:
        form = {
            "name": "Words", "directions": ["asked", "answered"], "action": "mask", "category": "profanity",
            "severity": "2", "words": "damn", "patterns": "", "locale": "en",
            "only_models": "small\nlarge", "notice": "", "source": "",
        } | fields  # fmt: skip
        return client.post(path, form)

    def test_add_and_change(self) -> None:
        client = staff_client(*ALL)
        assert self.post(client).status_code == 302
        made = ModerationRule.objects.get()
        assert (made.directions, made.only_models, made.enabled) == (["asked", "answered"], ["small", "large"], False)
        path = f"/admin/chat/moderationrule/{made.pk}/change/"
        assert "small\nlarge" in client.get(path).content.decode()
        assert self.post(client, path, enabled="on", only_models="").status_code == 302
        made.refresh_from_db()
        assert (made.version, made.enabled, made.only_models) == (2, True, [])
        assert AuditEntry.objects.filter(object_id=str(made.pk)).count() == 2
        assert found("damn") == ["damn"]  # this process at once

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"words": ""}, "A rule needs a word, a pattern or a kind of personal data."),
            ({"words": "!!"}, "A word needs a letter or a digit."),
            ({"patterns": "a*"}, "The pattern matches an empty text"),
            ({"patterns": "(a"}, "RE2 refuses the pattern"),
            ({"directions": []}, "This field is required."),
        ],
    )
    def test_what_cannot_work_is_refused(self, fields: dict[str, Any], reason: str) -> None:
        response = self.post(staff_client(*ALL), **fields)
        assert reason in response.content.decode()
        assert not ModerationRule.objects.exists()

    def test_only_with_the_permission(self) -> None:
        assert staff_client("view_moderationrule").get(ADD).status_code == 403


class TestPortable:
    def test_there_and_back(self) -> None:
        made = rule(patterns="a+b", pii=["email"], only_models=["small"], notice="Please not.", severity=3)
        made.groups.add(Group.objects.create(name="Pupils"))
        document = json.loads(json.dumps(export_rules(ModerationRule.objects.all())))
        made.delete()
        assert import_rules(document) == (1, 0)
        again = ModerationRule.objects.get()
        assert not again.enabled  # new rules wait for a person
        again.enabled = True
        again.save()
        assert export_rules([again]) == document
        assert import_rules(document) == (0, 1)
        assert ModerationRule.objects.get().enabled

    @pytest.mark.parametrize(
        ("entry", "reason"),
        [
            ({"words": ["x"]}, "has no name"),
            ({"name": "n", "directions": ["asked"], "patterns": ["(a"]}, "n: RE2 refuses"),
            ({"name": "n", "directions": ["asked"], "words": ["x"], "action": "explode"}, "explode"),
            ({"name": "n", "directions": "asked", "words": ["x"]}, "n: "),
            ({"name": "n", "directions": ["asked"], "words": ["x"], "pii": ["shoe size"]}, "n: "),
            ({"name": "n", "directions": ["asked"], "words": ["x"], "groups": ["Nobody"]}, "there is no group Nobody"),
            ({"name": "n", "directions": ["asked"], "words": ["x"], "severity": 99}, "n: "),
            ({"name": "n" * 81, "directions": ["asked"], "words": ["x"]}, "at most 80"),
            ("text", "has no name"),
        ],
    )
    def test_a_bad_rule_refuses_the_file(self, entry: Any, reason: str) -> None:
        good = {"name": "good", "directions": ["asked"], "words": ["x"]}
        with pytest.raises(ImportRefused, match=reason) as refused:
            import_rules({"format": FORMAT, "rules": [good, entry]})
        assert str(refused.value)
        assert not ModerationRule.objects.exists()

    def test_another_file(self) -> None:
        documents: list[Any] = [[], {}, {"format": FORMAT}, {"format": "x", "rules": []}, None]
        for document in documents:
            with pytest.raises(ImportRefused, match="not a JSON object"):
                import_rules(document)


class TestCommand:
    def call(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command("moderation", *arguments, stdout=out)
        return out.getvalue()

    def test_list_export_import(self, tmp_path: Path) -> None:
        assert self.call("rules", "list") == "There are no rules.\n"
        rule()
        assert "on  mask  asked" in self.call("rules", "list")
        assert json.loads(self.call("rules", "list", "--json"))[0]["version"] == 1
        file = tmp_path / "rules.json"
        file.write_text(self.call("rules", "export"))
        ModerationRule.objects.all().delete()
        assert self.call("rules", "import", str(file), "--enable").startswith("1 added, 0 changed.")
        assert ModerationRule.objects.get().enabled
        file.write_text("{")
        with pytest.raises(CommandError, match="Nothing was imported"):
            self.call("rules", "import", str(file))
        with pytest.raises(CommandError, match="no rule Missing"):
            self.call("rules", "export", "Missing")

    def test_try_a_text(self) -> None:
        rule(enabled=False)
        assert self.call("test", "damn it").startswith("No hits (0 rules")
        assert "mask  Mild words: 'damn'" in self.call("test", "damn it", "--all")
        assert json.loads(self.call("test", "damn it", "--all", "--json"))["hits"] == [
            {"rule": "Mild words", "action": "mask", "start": 0, "end": 4}
        ]
