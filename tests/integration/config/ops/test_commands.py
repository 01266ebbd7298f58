"""Every command of an operator: help that teaches, examples that work as they stand, answers for scripts."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.core.management.base import CommandParser

from accounts.models import Quota, QuotaPeriod, Unit, User
from chat.models import Conversation
from tests.conftest import make_user
from tests.fixtures.one_time_codes import give_app
from tests.integration.config.ops.operating import conversation
from tests.stack import ROOT

CHAT = (
    "files",
    "api_tokens",
    "audit",
    "erase_user",
    "export_user",
    "import_chats",
    "index_messages",
    "invite",
    "maintenance",
    "merge_users",
    "moderation",
    "purge",
    "quota",
    "repair",
    "seed_demo",
    "stats",
    "usage",
    "users",
)
CONFIG = (
    "backup",
    "check_deploy",
    "doctor",
    "health",
    "measure_admin",
    "models",
    "restore",
    "sbom",
    "settings",
    "translations",
)
COMMANDS = [*((name, "chat") for name in CHAT), *((name, "config") for name in CONFIG), ("reencrypt", "workers")]
REFUSED = {
    "diffsettings",
    "dumpdata",
    "export",
    "import",
}  # of others, which would show secrets or go around the audit log
PROCESSES = {"beat", "loadtest", "prepare", "serve", "up", "worker"}  # what runs, and has no examples


def parser_of(name: str, app: str) -> CommandParser:
    return load_command_class(app, name).create_parser("manage.py", name)


@pytest.mark.parametrize(("name", "app"), COMMANDS)
def test_help_teaches_and_its_examples_can_be_typed(name: str, app: str) -> None:
    text = parser_of(name, app).format_help()
    _, _, examples = text.partition("Examples:\n")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert lines, f"{name} --help has no examples"
    apps = dict(COMMANDS)
    for line in lines:
        typed = line.partition("   ")[0].partition(" | ")[0]
        program, command, *words = shlex.split(typed.replace("$(date +%F)", "2026-11-23"))
        assert program == "manage.py"
        if command in apps:
            parser_of(command, apps[command]).parse_args(words)  # exits where it is wrong
    if name not in ("quota", "seed_demo"):
        assert "xit code" in " ".join(text.split()), f"{name} --help does not say what its exit code means"


OURS = sorted((name, app) for name, app in get_commands().items() if app in ("accounts", "chat", "config", "workers"))


def test_all_commands_are_known_here() -> None:
    assert {name for name, _ in OURS} == {*dict(COMMANDS), *PROCESSES, *REFUSED}


@pytest.mark.parametrize(("name", "app"), OURS)
def test_every_command_has_help_and_its_json_is_an_option(name: str, app: str) -> None:
    """argparse formats help with `%`, so a lone percent sign in a text breaks `--help`, and nothing else."""
    parser = parser_of(name, app)
    assert "usage: manage.py" in parser.format_help()
    for action in parser._actions:
        if "--json" in action.option_strings:
            assert action.nargs == 0, "a flag"
            assert action.help


def verbs_with_json(parser: CommandParser, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The command, or each of its verbs, that has `--json`."""
    for action in parser._actions:
        if "--json" in action.option_strings:
            yield words
        elif isinstance(action, argparse._SubParsersAction):
            for verb, inner in action.choices.items():
                yield from verbs_with_json(inner, (*words, verb))


FILE = "a file of the test's own"
ANSWERS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("api_tokens",): ("list",),
    ("audit", "verify"): (),
    ("backup",): (FILE,),
    ("check_deploy",): ("--url", "http://127.0.0.1:1"),
    ("doctor",): (),
    ("erase_user",): ("alice@example.org", "--dry-run"),
    ("health",): ("--url", "http://127.0.0.1:1"),
    ("import_chats",): ("alice@example.org", FILE),
    ("loadtest",): ("http://127.0.0.1:1", "--users", "1", "--seconds", "1"),
    ("maintenance",): ("status",),
    ("merge_users",): ("alice@example.org", "twin@example.org", "--dry-run"),
    ("models",): (),
    ("moderation", "judge-again"): (),
    ("moderation", "requeue"): (),
    ("moderation", "rules", "list"): (),
    ("moderation", "stats"): (),
    ("moderation", "test"): ("a text",),
    ("purge",): ("--dry-run",),
    ("quota", "show"): ("alice@example.org",),
    ("repair",): ("--dry-run",),
    ("settings",): (),
    ("invite",): ("new@example.org", "--by", "alice@example.org", "--url", "http://127.0.0.1:1"),
    ("stats",): (),
    ("usage",): (),
    ("users", "create"): ("new@example.org",),
    ("users", "demote"): ("alice@example.org",),
    ("users", "disable"): ("alice@example.org", "--reason", "left"),
    ("users", "enable"): ("alice@example.org",),
    ("users", "list"): (),
    ("users", "plan"): ("alice@example.org", "none"),
    ("users", "promote"): ("alice@example.org", "--superuser"),
    ("users", "confirm-email"): ("alice@example.org",),
    ("users", "reset-second-factor"): ("alice@example.org", "--yes"),
}


def test_every_json_option_is_tried_here() -> None:
    found = {words for name, app in OURS for words in verbs_with_json(parser_of(name, app), (name,))}
    assert found == set(ANSWERS)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("words", ANSWERS, ids=" ".join)
def test_an_answer_for_scripts_is_json_and_nothing_else(
    words: tuple[str, ...], alice: User, clean_redis: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    if words == ("import_chats",):
        said = {"author": {"role": "user"}, "content": {"content_type": "text", "parts": ["Hello"]}}
        node: dict[str, Any] = {"id": "a", "message": {"id": "a", **said}, "parent": None, "children": []}
        file.write_text(json.dumps([{"title": "T", "mapping": {"a": node}, "current_node": "a"}]))
    if words == ("invite",):
        alice.is_superuser = True
        alice.save()
    if words == ("merge_users",):
        make_user("Twin")
    if words == ("users", "reset-second-factor"):
        give_app(alice)
    given = [str(file) if one == FILE else one for one in ANSWERS[words]]
    if words == ("loadtest",):  # a server that is there: see test_loadtest
        with pytest.raises(CommandError, match=r"127\.0\.0\.1:1"):
            call_command(*words, *given, "--json")
        assert capfd.readouterr().out == ""
        return
    with contextlib.suppress(SystemExit):
        call_command(*words, *given, "--json")
    json.loads(capfd.readouterr().out)


@pytest.mark.parametrize("name", ["purge", "import_chats", "erase_user", "repair"])
def test_what_deletes_or_changes_many_can_be_tried_first(name: str) -> None:
    assert "--dry-run" in parser_of(name, "chat").format_help()


@pytest.mark.parametrize(
    "command",
    [("erase_user", "alice@example.org"), ("merge_users", "alice@example.org", "bob@example.org", "--reason=twice"),
     ("users", "reset-second-factor", "alice@example.org")],
    ids=lambda command: command[0],
)  # fmt: skip
def test_what_cannot_be_undone_is_asked_for(
    command: tuple[str, ...], alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal, and after another answer than the address, nothing is done."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match="No terminal to ask for confirmation: --yes"):
        call_command(*command)
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "yes"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(CommandError, match=r"Nothing was (erased|merged|done)\."):
        call_command(*command)
    assert "alice@example.org" in asked[0]
    alice.refresh_from_db()
    assert alice.is_active


def said_by(*command: str) -> Any:
    out = io.StringIO()
    call_command(*command, stdout=out)
    return json.loads(out.getvalue())


def test_answers_for_scripts(alice: User, clean_redis: str) -> None:
    Quota.objects.create(user=alice, unit=Unit.MESSAGES, period=QuotaPeriod.DAY, limit=5)
    [left] = said_by("quota", "show", "alice@example.org", "--json")
    assert (left["left"], left["unit"], left["period"]) == (5, "messages", "day")
    assert said_by("usage", "--json") == []
    assert said_by("repair", "--json") == {"found": [], "left": []}
    conversation(alice, "question", "answer")
    Conversation.objects.update(tip=None)
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("repair", "--dry-run", "--json", stdout=out)
    assert ended.value.code == 1
    assert "newest message" in json.loads(out.getvalue())["left"][0]


def test_half_an_export_is_not_left(alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(_user: User, **_: Any) -> Any:
        yield '{"account": '
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("chat.management.commands.export_user.export_user_data", break_off)
    with pytest.raises(CommandError, match="No space left"):
        call_command("export_user", "alice@example.org", str(tmp_path / "alice.json"))
    assert list(tmp_path.iterdir()) == []


def test_help_is_quick_and_needs_no_server() -> None:
    env = {**os.environ, "DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [sys.executable, "manage.py", "purge", "--help"],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "manage.py purge --dry-run   what would go now, and why" in done.stdout
