"""Staff's lists look at few rows of many, whatever is searched or filtered."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client, RequestFactory

from accounts.lib import text_search
from accounts.models import AuditEntry, DailyUsage, UsageEntry, User
from chat.models import (
    Conversation,
    Message,
    Recording,
    Run,
    ToolCall,
)
from tests.conftest import make_user
from tests.integration.accounts.staff.lists import path_of
from tests.integration.accounts.staff.lists import root as root  # a fixture

pytestmark = pytest.mark.usefixtures("clean_redis", "db")
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
