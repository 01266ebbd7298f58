"""Every list of the admin: it asks the database as little for many rows as for few, and reads few of many."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection, models
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.lib import text_search
from accounts.models import Allowance, AuditEntry, DailyUsage, Invitation, Plan, Price, Quota, TopUp, UsageEntry, User
from chat.models import (
    Conversation,
    JoinLink,
    KnownModel,
    KnownTool,
    Member,
    Message,
    ModerationCase,
    ModerationDecision,
    ModerationRule,
    PolicyStep,
    Preset,
    Prompt,
    PushSubscription,
    QueuedMessage,
    Rating,
    Recording,
    Revision,
    Run,
    ShareLink,
    Step,
    Strike,
    StrikeScale,
    ToolCall,
    ToolConnection,
    ToolPolicy,
    ToolServer,
)
from tests.conftest import make_user
from tests.fixtures.called_tools import add_call
from tests.fixtures.people import staff_client
from tests.fixtures.waiting_rows import waiting
from workers.models import Endpoint, Judge, SearchProvider

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


@pytest.fixture
def root() -> Client:
    return staff_client(superuser=True)


# --- as little for many rows as for few ------------------------------------------------------------------------------


def person(number: int) -> User:
    return User.objects.create(email=f"p{number}@example.org", name=f"P{number}", plan=plan(number))


def plan(number: int) -> Plan:
    return Plan.objects.get_or_create(name=f"Plan {number}")[0]


def quota(number: int) -> Quota:
    return Quota.objects.create(user=person(number), limit=number)


def conversation(number: int) -> Conversation:
    made = Conversation.objects.create(title="x")
    Member.objects.create(conversation=made, user=person(number), role="owner")
    return made


def message(number: int) -> Message:
    where = conversation(number)
    return Message.objects.create(conversation=where, role="user", author=User.objects.get(conversations=where))


def waiting_message(where: Conversation) -> QueuedMessage:
    return waiting(User.objects.get(conversations=where), where)


def run(number: int) -> Run:
    question = message(number)
    answer = Message.objects.create(conversation=question.conversation, parent=question, role="assistant")
    return Run.objects.create(
        conversation=question.conversation, prompt=question, message=answer, requested_by=question.author,
        model=f"m-{number}", status="failed", error_code=f"e-{number}", finished_at=timezone.now(),
    )  # fmt: skip


def endpoint(number: int) -> Endpoint:
    return Endpoint.objects.create(name=f"e{number}", base_url=f"https://e{number}.example.org/v1")


def audit_entry(number: int) -> AuditEntry:
    return AuditEntry.objects.create(
        actor=person(number), actor_email="x@example.org", verb=f"v{number}", object_type="x", object_id="x"
    )


def usage_entry(number: int) -> UsageEntry:
    return UsageEntry.objects.create(at=timezone.now(), user=person(number), run_id=uuid.uuid4(), model="m")


def daily_usage(number: int) -> DailyUsage:
    return DailyUsage.objects.create(day=timezone.now().date(), user=person(number), model="m")


def top_up(number: int) -> TopUp:
    given = quota(number)
    return TopUp.objects.create(user=given.user, quota=given, amount=1, by=given.user)


def allowance(number: int) -> Allowance:
    given = quota(number)
    return Allowance.objects.create(user=given.user, quota=given, starts_at=timezone.now())


def price(number: int) -> Price:
    return Price.objects.create(model=f"m-{number}", input_per_million=1, output_per_million=1)


def recording(number: int) -> Recording:
    return Recording.objects.create(user=person(number), client_id=uuid.uuid4(), language="en", mode="dictate")


def invitation(number: int) -> Invitation:
    return Invitation.objects.create(
        email=f"i{number}@example.org", plan=plan(number), role=Group.objects.get_or_create(name=f"g{number}")[0],
        token_hash=f"h{number}", by=person(number), expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip


def revision(number: int) -> Revision:
    changed = message(number)
    return Revision.objects.create(message=changed, kind="edited", text="x", changed_by=changed.author)


def rating(number: int) -> Rating:
    rated = run(number)
    assert rated.requested_by is not None
    return Rating.objects.create(message=rated.message, user=rated.requested_by, value=1, model=f"m-{number}")


def strike(number: int) -> Strike:
    case = ModerationCase.objects.create(
        target="refused", target_id=uuid.uuid4(), direction="asked", origin="rule", action="block"
    )
    decision = ModerationDecision.objects.create(case=case, kind="warn")
    return Strike.objects.create(decision=decision, person=person(number), count=1, expires_at=timezone.now())


def link(number: int) -> dict[str, Any]:
    """What both kinds of links have."""
    where = conversation(number)
    by = User.objects.get(conversations=where)
    soon = timezone.now() + timedelta(days=1)
    return {"conversation": where, "created_by": by, "token_hash": uuid.uuid4().hex, "expires_at": soon}


MAKERS: dict[type[models.Model], Callable[[int], Any]] = {
    AuditEntry: audit_entry, User: person, Plan: plan, Quota: quota, Price: price, TopUp: top_up, Allowance: allowance,
    UsageEntry: usage_entry, DailyUsage: daily_usage, Conversation: conversation, Message: message, Run: run,
    Recording: recording, Invitation: invitation, Revision: revision, Rating: rating,
    QueuedMessage: lambda number: waiting_message(conversation(number)),
    ShareLink: lambda number: ShareLink.objects.create(kind="live", audience="users", **link(number)),
    JoinLink: lambda number: JoinLink.objects.create(role="viewer", **link(number)),
    ToolCall: lambda number: add_call(run(number)),
    Step: lambda number: add_call(run(number)),
    KnownTool: lambda number: KnownTool.objects.create(name=f"tool_{number}", title="x", server=f"s{number % 3}"),
    ToolPolicy: lambda number: ToolPolicy.objects.create(
        group=Group.objects.create(name=f"g{number}"), tool=f"t{number}"
    ),
    KnownModel: lambda number: KnownModel.objects.create(name=f"model {number}"),
    Preset: lambda number: Preset.objects.create(name=f"preset {number}", owner=person(number)),
    Prompt: lambda number: Prompt.objects.create(name=f"prompt-{number}", text="x", owner=person(number)),
    PushSubscription: lambda number: PushSubscription.objects.create(
        user=person(number), endpoint_hash=f"h{number}", device=f"d{number}", host="push.example.org",
    ),
    ModerationRule: lambda number: ModerationRule.objects.create(name=f"r{number}", directions=["asked"], words="x"),
    ModerationCase: lambda number: ModerationCase.objects.create(
        target="refused", target_id=uuid.uuid4(), direction="asked", origin="rule", action="block",
        person=person(number), rules=[{"name": f"r{number}"}],
    ),
    Strike: strike,
    PolicyStep: lambda number: PolicyStep.objects.create(strikes=number + 1, days=30, consequence="warn"),
    StrikeScale: lambda number: StrikeScale.objects.get_or_create(severity=number % 4 + 1),
    Group: lambda number: Group.objects.create(name=f"g{number}"),
    ToolServer: lambda number: ToolServer.objects.create(slug=f"s{number}", title=f"S{number}", owner=person(number)),
    ToolConnection: lambda number: ToolConnection.objects.create(
        user=person(number), server=ToolServer.objects.create(slug=f"s{number}", title=f"S{number}")
    ),
    Endpoint: lambda number: endpoint(number),
    Judge: lambda number: Judge.objects.create(
        name=f"j{number}", model="m", endpoint=endpoint(number), directions=["asked"]
    ),
    SearchProvider: lambda number: SearchProvider.objects.create(name=f"s{number}", address="http://searxng:8080"),
}  # fmt: skip


def path_of(model: type[models.Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def ask(client: Client, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        response = client.get(path)
    assert response.status_code == 200
    return [query["sql"] for query in captured if "SAVEPOINT" not in query["sql"]]


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_ask_no_more_for_more_rows(root: Client, model: type[models.Model]) -> None:
    make = MAKERS.get(model)
    assert make, "a page of the admin without rows to test it with: add a line to MAKERS"
    path = path_of(model)
    for number in range(3):
        make(number)
    ask(root, path)  # content types and the like are remembered
    few = ask(root, path)
    for number in range(3, 60):
        make(number)
    many = ask(root, path)
    assert len(few) == len(many) <= 9, "\n".join(sorted(set(many) - set(few)) or many)
    assert not [sql for sql in many if re.search(r"\bCOUNT\(", sql) and "LIMIT" not in sql and "WHERE" not in sql]


def test_pages_go_on_without_a_count(root: Client) -> None:
    for number in range(120):
        person(number)

    def shown(page: str) -> tuple[set[str], bool, bool]:
        html = root.get("/admin/accounts/user/", {"p": page}).content.decode()
        return set(re.findall(r"p\d+@example", html)), 'rel="prev"' in html, 'rel="next"' in html

    pages = [shown(str(number)) for number in (1, 2, 3)]
    assert [(len(rows), before, after) for rows, before, after in pages] == [
        (50, False, True), (50, True, True), (20, True, False)
    ]  # fmt: skip
    assert len(set.union(*(rows for rows, _, _ in pages))) == 120
    assert shown("999999999")[0] == set()


# --- few of many -----------------------------------------------------------------------------------------------------

ROWS = 12_000
READ = 1_500  # rows a list may look at to show its fifty: some more than asked for, nothing like all
NOBODY, SOMEBODY = uuid.UUID(int=1), uuid.UUID(int=2)
# Rows as many systems have them: nearly all alike, a few that staff look for, the oldest first.
SEED = f"""
SET LOCAL session_replication_role = replica;  -- no foreign keys: these rows stand for themselves
INSERT INTO accounts_user (id, email, name, password, is_active, is_staff, is_superuser, date_joined)
SELECT uid(n), CASE WHEN n % 4000 = 0 THEN 'rare' ELSE 'user' END || n || '@example.org', '', '', n % 4001 <> 0,
    n % 4002 = 0, false, moment(n) FROM generate_series(10, {ROWS}) n;
INSERT INTO chat_conversation (id, title, model, system_prompt, created_at, updated_at, temporary)
SELECT uid(n), '', '', '', moment(n), moment(n), false FROM generate_series(1, {ROWS}) n;
INSERT INTO chat_member (conversation_id, user_id, role, joined_at)
SELECT uid(n), uid(n % 500 + 10), 'owner', moment(n) FROM generate_series(1, {ROWS}) n;
INSERT INTO chat_message (id, conversation_id, role, author_id, text, html, status, created_at)
SELECT uid(n), uid(n % 9999), 'user', uid(n % 500 + 10), '', '', 'complete', moment(n)
FROM generate_series(1, {ROWS}) n;
INSERT INTO chat_run (id, conversation_id, prompt_id, message_id, requested_by_id, model, status, attempt, lease_owner,
    checkpoint_epoch, checkpoint_seq, ended_in_log, error_code, error_message, usage_estimated, created_at, finished_at,
    first_token_ms)
SELECT uid(n), uid(n % 9999), uid(n), uid(n), uid(n % 500 + 10), CASE WHEN n < 40 THEN 'rare' ELSE 'usual' END,
    CASE WHEN n < 30 THEN 'failed' WHEN n < 60 THEN 'stopped' ELSE 'done' END, 1, '', '', 0, true,
    CASE WHEN n < 30 THEN 'rare_error' ELSE '' END, '', false, moment(n), moment(n),
    CASE WHEN n < 30 THEN 9000 ELSE 300 END FROM generate_series(1, {ROWS}) n;
INSERT INTO chat_recording (id, user_id, client_id, language, mode, auto_send, status, reason, backend, audio_ms,
    created_at)
SELECT uid(n), uid(n % 500 + 10), uid(n), 'en', 'dictate', false, CASE WHEN n < 30 THEN 'failed' ELSE 'done' END, '',
    '', 1, moment(n) FROM generate_series(1, {ROWS}) n;
INSERT INTO chat_toolcall (id, run_id, step_id, model_step_id, place, name, server, status, created_at, ended_at)
SELECT uid(n), uid(n), n, n, 0, 'search', CASE WHEN n < 40 THEN 'rare' ELSE '' END,
    CASE WHEN n < 30 THEN 'unknown' WHEN n < 60 THEN 'waiting' ELSE 'ok' END, moment(n),
    CASE WHEN n BETWEEN 30 AND 59 THEN NULL ELSE moment(n) END FROM generate_series(1, {ROWS}) n;
INSERT INTO accounts_usageentry (id, at, user_id, run_id, model, endpoint, messages, input_tokens, cached_tokens,
    output_tokens, reasoning_tokens, audio_seconds, estimated)
SELECT uid(n), moment(n), uid(n % 500 + 10), uid(n), 'm', '', 1, 1, 0, 1, 0, 0, false
FROM generate_series(1, {ROWS}) n;
INSERT INTO accounts_dailyusage (day, user_id, model, endpoint, messages, input_tokens, cached_tokens, output_tokens,
    reasoning_tokens, audio_seconds, cost, unpriced, estimated)
SELECT moment(n / 1200 * 1200), uid(n), 'm', '', 1, 1, 0, 1, 0, 0, 0, 1, 0 FROM generate_series(1, {ROWS}) n;
"""  # noqa: S608 -- a constant
HELPERS = """
DO $$ DECLARE one record; BEGIN  -- columns that are not named below may stay empty, also those of tomorrow
    FOR one IN SELECT table_name, column_name FROM information_schema.columns WHERE is_nullable = 'NO'
        AND column_name <> 'id' AND column_default IS NULL AND table_name IN ('accounts_user', 'chat_conversation',
            'chat_member', 'chat_message', 'chat_run', 'chat_toolcall', 'chat_recording', 'accounts_usageentry',
            'accounts_dailyusage')
    LOOP EXECUTE format('ALTER TABLE %I ALTER COLUMN %I DROP NOT NULL', one.table_name, one.column_name); END LOOP;
END $$;
CREATE FUNCTION pg_temp.moment(n bigint) RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT now() - make_interval(secs => (12000 - n) * 60)';
CREATE FUNCTION pg_temp.uid(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    'SELECT lpad(to_hex(n), 32, ''0'')::uuid';
"""
QUESTIONS: dict[type[models.Model], list[dict[str, str]]] = {
    User: [{}, {"q": "rare"}, {"q": "rare4000@example.org"}, {"is_active__exact": "0"}, {"is_staff__exact": "1"}],
    Conversation: [{}, {"q": "user11@example.org"}, {"q": str(NOBODY)}],
    Message: [{}, {"role__exact": "user"}, {"q": "user11@example.org"}, {"q": str(NOBODY)},
              {"conversation__exact": str(SOMEBODY)}],
    Run: [{}, *({"status__exact": one} for one in ("queued", "running", "done", "stopped", "failed", "interrupted")),
          {"error_code": "any"}, {"error_code": "rare_error"}, {"error_code": "never"}, {"model": "rare"},
          {"model": "usual"}, {"model": "never"}, {"period": "1h"}, {"period": "/2000-01-01"}, {"slow": "yes"},
          {"requested_by__exact": str(uuid.UUID(int=11))}, {"requested_by__exact": str(NOBODY)},
          {"q": "user11@example.org"}, {"q": str(SOMEBODY)}, {"conversation__exact": str(SOMEBODY)},
          {"error_code": "any", "period": "30d"}, {"model": "rare", "period": "1h"}],
    ToolCall: [{}, *({"status__exact": one} for one in ("waiting", "unknown", "running", "ok")), {"tool": "search"},
               {"tool": "rare/search"}, {"tool": "never"}, {"server": "rare"}, {"server": "-"}, {"period": "1h"},
               {"q": "user11@example.org"}, {"q": str(NOBODY)}],
    Recording: [{}, {"status__exact": "failed"}, {"status__exact": "listening"}, {"status__exact": "done"},
                {"q": "user11@example.org"}, {"period": "1h"}],
    UsageEntry: [{}, {"user__exact": str(uuid.UUID(int=11))}, {"run_id__exact": str(SOMEBODY)},
                 {"q": "user11@example.org"}],
    DailyUsage: [{}, {"user__exact": str(uuid.UUID(int=11))}, {"q": "user11@example.org"}],
}  # fmt: skip


def carried_out(rows: Any) -> dict[str, Any]:
    """The plan of a query, after it was."""
    query, parameters = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", parameters)
        [[[found]]] = cursor.fetchall()
    plan: dict[str, Any] = found["Plan"]
    return plan


def rows_read(node: dict[str, Any], table: str) -> float:
    """How many rows of the table a plan, once carried out, has looked at."""
    read = sum(rows_read(child, table) for child in node.get("Plans", ()))
    if node.get("Relation Name") == table:
        seen = sum(node.get(name, 0) for name in ("Actual Rows", "Rows Removed by Filter"))
        read += seen * node["Actual Loops"]
    return float(read)


def test_read_few_of_many() -> None:
    somebody = User(is_superuser=True, is_staff=True)
    with connection.cursor() as cursor:
        cursor.execute(HELPERS)
        cursor.execute(SEED.replace("uid(", "pg_temp.uid(").replace("moment(", "pg_temp.moment("))
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("ANALYZE")
    worst = []
    for model, questions in QUESTIONS.items():
        table, page = model._meta.db_table, admin.site._registry[model]
        for question in questions:
            request: Any = RequestFactory().get(path_of(model), question)
            request.user = somebody
            rows = page.get_changelist_instance(request).get_queryset(request)[:51]
            read = rows_read(carried_out(rows), table)
            if read > READ:
                worst.append(f"{table} {question}: {read:.0f} rows\n{rows.explain()}")
    assert not worst, "\n\n".join(worst)
    for vector, model in ((text_search.USERS, User), (text_search.AUDIT, AuditEntry)):
        first = model.objects.filter(text_search.has_words(vector, ["never"])).order_by()[: text_search.FEW]
        plan = carried_out(first)
        assert rows_read(plan, model._meta.db_table) == 0, first.explain()


def test_a_full_search_is_seen(root: Client) -> None:
    """The measure above measures: without an index it says so."""
    for number in range(60):
        make_user(f"n{number}")
    plan = carried_out(User.objects.filter(name__contains="nobody")[:51])
    assert rows_read(plan, "accounts_user") == 61
