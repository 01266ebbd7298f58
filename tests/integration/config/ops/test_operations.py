"""The operator's commands against real servers, with real breakage."""

from __future__ import annotations

import io
import json
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Session, User
from chat.models import Conversation, Member, Message, QueuedMessage, Recording, Role, Utterance
from tests.client import session
from tests.fixtures.waiting_rows import waiting
from tests.integration.config.ops.operating import conversation, days_ago, run
from tests.stack import Stack

Live = Callable[..., Stack]


pytestmark = pytest.mark.timeout(180)  # each command is a process of its own


def findings(stack: Stack, command: str = "health", **env: str) -> tuple[int, dict[str, dict[str, str]]]:
    urls = [f"--url={web.url}" for web in stack.webs[:1]]
    code, text = run(stack, command, "--json", *urls, env=env or None)
    shown = json.loads(text)
    assert {"ok": 0, "warn": 1, "fail": 2}[shown["level"]] == code
    return code, {finding["name"]: finding for finding in shown["findings"]}


def test_health_names_what_is_broken(live: Live) -> None:
    stack = live(web=1, workers=1)
    code, found = findings(stack)
    assert code == 0, found
    assert set(found) == {"database", "redis", "web", "workers", "endpoints", "queue"}

    worker = stack.workers[0]
    worker.kill(signal.SIGSTOP)  # it hangs: the process is there, and says nothing
    try:
        deadline = time.monotonic() + 30
        while findings(stack)[1]["workers"]["level"] == "ok":
            assert time.monotonic() < deadline, "a hung worker is seen within 30 s"
            time.sleep(0.5)
        code, found = findings(stack)
        assert code == 2
        assert {name for name, finding in found.items() if finding["level"] == "fail"} == {"workers", "endpoints"}
        assert found["endpoints"]["said"] == "Not known while `workers` fails.", "an effect, and said to be one"
        assert "restart it" in found["workers"]["advice"]
    finally:
        worker.kill(signal.SIGCONT)

    stack.webs[0].stop()
    assert findings(stack)[1]["web"]["level"] == "fail"
    stack.redis.kill()
    code, found = findings(stack)
    assert code == 2
    assert found["redis"]["level"] == found["workers"]["level"] == "fail"
    assert found["database"]["level"] == "ok"


def test_doctor_names_each_kind_of_breakage(live: Live) -> None:
    stack = live(web=1, workers=1)
    _, found = findings(stack, "doctor")
    assert {name for name, finding in found.items() if finding["level"] == "fail"} == set(), found
    assert "demo" in found["model"]["said"]
    assert found["administrator"]["level"] == "warn"
    assert all(finding["advice"] for finding in found.values() if finding["level"] != "ok")

    _, found = findings(
        stack, "doctor", OPENAI_BASE_URL="http://127.0.0.1:9/v1", OPENAI_API_KEY="sk-canary-of-the-doctor", DEBUG="1"
    )
    assert found["model"]["level"] == "fail"
    assert "upstream_unreachable" in found["model"]["said"]
    assert found["settings"]["level"] == "fail"
    assert "DEBUG" in found["settings"]["said"]
    assert "sk-canary" not in json.dumps(found)

    stack.sql("DELETE FROM django_migrations WHERE app = 'chat'")
    assert "not applied: chat." in findings(stack, "doctor")[1]["database"]["said"]

    wrong = stack.env["DATABASE_URL"].replace(stack.database, "no_such_database")
    _, found = findings(stack, "doctor", DATABASE_URL=wrong)
    assert found["database"]["level"] == "fail"
    assert "no_such_database" in found["database"]["said"]


def test_models_are_listed_and_one_is_asked(live: Live) -> None:
    stack = live(web=0, workers=0, env={"DEMO_TOKENS_PER_SECOND": "1000"})
    code, text = run(stack, "models", "--test", "--json")
    assert code == 0, text
    shown = json.loads(text)
    assert shown["models"] == ["demo"]
    assert shown["test"]["characters"] > 0
    code, text = run(stack, "models", "--json", env={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    assert code == 1
    assert json.loads(text)["error"] == "upstream_unreachable"


def test_the_clock_has_it_done(live: Live) -> None:
    stack = live(web=0, workers=1)
    send = "from config.celery import app; app.send_task('workers.maintenance.purge')"
    stack.manage("shell", "--no-imports", "-c", send)
    stack.workers[0].await_output('"data_purged"', 20)
    assert findings(stack, "doctor")[1]["maintenance"]["level"] == "ok"


def test_the_schedule_names_tasks_that_are_there() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks


def test_an_export_has_everything_and_no_secret(alice: User, bob: User, tmp_path: Path) -> None:
    made = conversation(alice, "my question", "its answer", title="Mine")
    conversation(bob, "not hers")
    waiting(alice, made, "my next question")
    Member.objects.create(conversation=made, user=bob, role=Role.EDITOR)
    waiting(bob, made, "his secret", shown="his ***", position=1)
    Session.objects.create(session_key="k" * 32, hash="h" * 32, user=alice, session_data="", expire_date=days_ago(-1))
    file = tmp_path / "alice.json"
    call_command("export_user", "ALICE@example.org", str(file), stdout=io.StringIO())
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    data = json.loads(text)
    assert [one["id"] for one in data["conversations"]] == [str(made.pk)]
    assert [message["text"] for message in data["conversations"][0]["messages"]] == ["my question", "its answer"]
    found = [(one["mine"], one["text"]) for one in data["conversations"][0]["queued"]]
    assert found == [(True, "my next question"), (False, "his ***")]
    assert len(data["sessions"]) == 1
    for secret in ("k" * 32, "h" * 32, alice.password, "not hers", "his secret", "bob@"):
        assert secret not in text
    with pytest.raises(CommandError, match="exists"):
        call_command("export_user", "alice@example.org", str(file))
    with pytest.raises(CommandError, match="no account"):
        call_command("export_user", "nobody@example.org")


def test_an_erased_person_leaves_nothing_but_others_answers(
    transactional_db: None, clean_redis: str, alice: User, bob: User
) -> None:
    alone = conversation(alice, "secret of mine", "answer")
    shared = conversation(alice, "said to both", "heard by both")
    Member.objects.create(conversation=shared, user=bob, role=Role.EDITOR)
    waiting(alice, shared, "to be said to both")
    heard = Recording.objects.create(user=alice, client_id=uuid.uuid4(), language="en", mode="dictate")
    Utterance.objects.create(recording=heard, number=1, text="spoken secret", start_ms=0, end_ms=1)
    Session.objects.create(session_key="k" * 32, hash="h" * 32, user=alice, session_data="", expire_date=days_ago(-1))

    out = io.StringIO()
    call_command("erase_user", "alice@example.org", "--dry-run", "--json", stdout=out)
    assert User.objects.filter(pk=alice.pk).exists()
    planned = json.loads(out.getvalue())
    with pytest.raises(CommandError, match="--yes"):
        call_command("erase_user", "alice@example.org")

    out = io.StringIO()
    call_command("erase_user", "alice@example.org", "--now", "--yes", "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert report == planned
    assert report == {
        "conversations_deleted": 1, "conversations_left": 1, "conversations_handed_over": 1, "messages_blanked": 1,
        "queued_messages_deleted": 1, "recordings_deleted": 1, "presets_deleted": 0, "prompts_deleted": 0,
        "folders_deleted": 0, "tags_deleted": 0,
        "devices_deleted": 0, "share_links_deleted": 0, "files_deleted": 0, "collections_deleted": 0,
        "tool_calls_blanked": 0, "tool_approvals_deleted": 0, "sessions_ended": 1, "audit_entries_kept": 0,
    }  # fmt: skip
    assert not User.objects.filter(pk=alice.pk).exists()
    assert not Conversation.objects.filter(pk=alone.pk).exists()
    assert not Session.objects.exists()
    assert not Utterance.objects.exists()
    assert not QueuedMessage.objects.exists()
    left = Message.objects.order_by("created_at")
    assert [message.text for message in left] == ["(erased)", "heard by both"]
    assert [message.author for message in left] == [None, None]
    assert Member.objects.get().role == Role.OWNER, "somebody must be able to delete it"


def test_the_last_administrator_stays(alice: User, bob: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_superuser=True, is_staff=True)
    with pytest.raises(CommandError, match="last administrator"):
        call_command("erase_user", "alice@example.org", "--now", "--yes")
    assert User.objects.filter(pk=alice.pk).exists()
    User.objects.filter(pk=bob.pk).update(is_superuser=True, is_staff=True)
    call_command("erase_user", "alice@example.org", "--now", "--yes", stdout=io.StringIO())
    assert not User.objects.filter(pk=alice.pk).exists()


async def test_an_erased_persons_socket_closes(stack: Stack) -> None:
    email = stack.add_user("Mallory")
    async with session(stack.url, email) as mallory:
        client = await mallory.connect()
        code, text = run(stack, "erase_user", email, "--now", "--yes")
        assert code == 0, text
        assert await client.closed() == 4401


async def test_the_socket_of_a_merged_account_closes(stack: Stack) -> None:
    email, other = stack.add_user("Mallory"), stack.add_user("Alice")
    async with session(stack.url, email) as mallory:
        client = await mallory.connect()
        code, text = run(stack, "merge_users", email, other, "--reason", "x", "--yes")
        assert code == 0, text
        assert await client.closed() == 4401


@pytest.mark.django_db
def test_a_clock_that_stopped_is_noticed(clean_redis: str) -> None:
    from chat.models import PeriodicJob
    from config.ops.diagnosis import Level, examine

    def level() -> Level:
        [finding] = examine(["maintenance"])
        return finding.level

    assert level() is Level.OK, "nothing runs for long enough"
    PeriodicJob.objects.create(name="purge", ended_at=days_ago(2 / 24))
    assert level() is Level.OK
    PeriodicJob.objects.update(ended_at=days_ago(4 / 24))
    assert level() is Level.WARN


def test_an_origin_whose_host_is_not_allowed_is_named(settings: Any) -> None:
    from config.ops.diagnosis import Level, examine

    settings.DEBUG = False
    settings.ALLOWED_HOSTS, settings.ALLOWED_ORIGINS = ["chat.example.org"], ["https://chat.example.org"]
    assert examine(["settings"])[0].level is Level.OK
    settings.ALLOWED_HOSTS = ["localhost"]
    [finding] = examine(["settings"])
    assert finding.level is Level.FAIL
    assert "https://chat.example.org" in finding.said
