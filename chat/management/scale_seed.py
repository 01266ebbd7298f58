"""Many people, conversations, runs, usage entries and audit entries for trying the admin at scale. Set-based: each
batch is a few statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import Group
from django.db import connection, models, transaction

from accounts.models import AuditEntry, DailyUsage, Plan, Price, UsageEntry, User
from chat.models import Conversation, Member, Message, Rating, Run

DOMAIN: Final = "scale.example"
ENDPOINT: Final = "scale.example"
MODELS: Final = ("scale-large", "scale-small", "scale-reasoning", "scale-code", "scale-unpriced")
TEAMS: Final = 45
BATCH: Final = 5_000  # conversations of a transaction

# A UUID of version 7 as `accounts.lib.ids.uuid7` makes it, for a moment and a salt that makes it unique.
_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION pg_temp.id_at(at timestamptz, salt text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $body$
    SELECT (lpad(to_hex((EXTRACT(EPOCH FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(salt), 1, 3) || '8'
        || substr(md5(salt), 4, 15))::uuid
$body$
"""
_WORDS: Final = """(ARRAY['bread', 'invoices', 'a sieve of primes', 'the planets', 'holidays', 'a contract',
    'SQL joins', 'a cover letter', 'rye', 'Kubernetes', 'migraines', 'taxes', 'a lesson plan', 'Python', 'a poem',
    'old maps'])"""

_PEOPLE: Final = """
CREATE TEMP TABLE scale_person ON COMMIT PRESERVE ROWS AS
SELECT n, pg_temp.id_at(joined, 'person' || n) AS id, joined, n > %(people)s - %(staff)s AS is_staff
FROM generate_series(1, %(people)s) n,
    LATERAL (SELECT now() - interval '1 day' - (abs(hashtext('joined' || n)) %% 500) * interval '1 day' AS joined) j
"""  # constants
# Some people write a lot, most little: the person's number grows with the square of a uniform number.
_TURNS: Final = f"""
CREATE TEMP TABLE scale_turn ON COMMIT DROP AS
WITH chats AS (
    SELECT c, p.id AS person, pg_temp.id_at(at, 'chat' || c) AS chat, at, CASE
            WHEN abs(hashtext('more' || c)) %% 100 < 8 THEN 1
            ELSE 1 + abs(hashtext('turns' || c)) %% 4 + (abs(hashtext('more' || c)) %% 100 = 99)::int * 4 END AS turns,
        (%(models)s::text[])[1 + abs(hashtext('model' || c)) %% %(model_count)s] AS model
    FROM generate_series(%(first)s, %(last)s) c
    JOIN scale_person p
        ON p.n = 1 + floor(power((abs(hashtext('who' || c)) %% 100000) / 100000.0, 2) * %(people)s)::int,
        LATERAL (SELECT now() - (abs(hashtext('at' || c)) %% 25920000) * interval '1 second' / 2.0 AS at) t
)
SELECT c, chat, person, model, turns, k, chats.at + k * interval '3 minutes' AS at,
    pg_temp.id_at(chats.at + k * interval '3 minutes', 'q' || c || '.' || k) AS question,
    pg_temp.id_at(chats.at + k * interval '3 minutes' + interval '1 ms', 'a' || c || '.' || k) AS answer,
    pg_temp.id_at(chats.at + k * interval '3 minutes' + interval '2 ms', 'r' || c || '.' || k) AS run,
    abs(hashtext('fate' || c || '.' || k)) %% 1000 AS fate, {_WORDS}[1 + abs(hashtext('w' || c || k)) %% 16] AS topic
FROM chats, generate_series(1, chats.turns) k
"""  # noqa: S608  # constants
_ANSWER: Final = """
    'Here is what matters about ' || topic || '. First, measure twice and write down what you found, number '
    || (fate * 7 + k) || '. Then compare it with what others did, keep the notes, and change one thing at a time. '
    || 'If ' || topic || ' still causes trouble, ask again with the exact words of the error.'
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How many rows there will be, about."""

    people: int
    conversations: int
    entries: int
    audit: int

    @classmethod
    def of(cls, factor: float) -> Scale:
        """1 is an installation of 2,025 people after a year."""
        return cls(
            max(10, round(2_025 * factor)), max(20, round(160_000 * factor)), max(50, round(1_000_000 * factor)),
            max(20, round(100_000 * factor)),
        )  # fmt: skip


def is_seeded() -> bool:
    return User.objects.filter(email__endswith=f"@{DOMAIN}").exists()


def seed(scale: Scale, on_progress: Callable[[str, int, int], None] = lambda *_: None) -> dict[str, int]:
    """Adds the rows and returns how many there are of each table. Repeating it is refused by `is_seeded`.

    An interrupted run leaves whole batches; `erase` removes nothing, so use a database of its own.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute(_FUNCTION)
        _add_people(cursor, scale)
        for first in range(1, scale.conversations + 1, BATCH):
            last = min(first + BATCH - 1, scale.conversations)
            _add_conversations(cursor, first, last, scale.people)
            on_progress("conversations", last, scale.conversations)
        for name, step in (("usage", _add_usage), ("audit", _add_audit)):
            on_progress(name, 0, 1)
            step(cursor, scale)
            on_progress(name, 1, 1)
        for table in (User, Conversation, Member, Message, Run, UsageEntry, DailyUsage, AuditEntry):
            cursor.execute(f"ANALYZE {table._meta.db_table}")  # noqa: SLF001  # Django documents it
        cursor.execute("DROP TABLE scale_person")
        cursor.execute("RESET synchronous_commit")
    return dict(_counts())


def _counts() -> Iterator[tuple[str, int]]:
    for model in (User, Conversation, Message, Run, UsageEntry, DailyUsage, AuditEntry):
        yield str(model._meta.verbose_name_plural), model._default_manager.count()  # noqa: SLF001  # as above


def insert(cursor: Any, model: type[models.Model], source: str, values: dict[str, str], **given: Any) -> int:
    """Adds a row for each of `source`'s (SQL). `values` are expressions by column; other columns have their default."""
    columns, expressions, defaults = [], [], {}
    for field in model._meta.concrete_fields:  # noqa: SLF001  # Django documents it
        if field.attname in values:
            columns.append(field.column)
            expressions.append(values[field.attname])
        elif not field.null and not field.has_db_default() and not field.primary_key:
            columns.append(field.column)
            expressions.append(f"%(default_{field.column})s")
            value = field.get_default() if field.has_default() else field.get_prep_value("")
            defaults[f"default_{field.column}"] = field.get_db_prep_save(value, connection)
    named = ", ".join(f'"{column}"' for column in columns)
    table = model._meta.db_table  # noqa: SLF001  # as above
    cursor.execute(
        f'INSERT INTO "{table}" ({named}) SELECT {", ".join(expressions)} FROM {source} ON CONFLICT DO NOTHING',  # noqa: S608
        {**defaults, **given},
    )
    return int(cursor.rowcount)


def _add_people(cursor: Any, scale: Scale) -> None:
    plans = [Plan.objects.get_or_create(name=name)[0].pk for name in ("Scale basic", "Scale plus", "Scale team")]
    teams = [Group.objects.get_or_create(name=f"Scale team {number:02}")[0].pk for number in range(1, TEAMS + 1)]
    for model, price in zip(MODELS[:-1], (10, 1, 15, 3), strict=True):
        Price.objects.get_or_create(
            model=model, endpoint=ENDPOINT, defaults={"input_per_million": price, "output_per_million": 4 * price}
        )
    with transaction.atomic():
        cursor.execute("DROP TABLE IF EXISTS scale_person")
        cursor.execute(_PEOPLE, {"people": scale.people, "staff": min(25, scale.people // 10)})
        insert(
            cursor, User, "scale_person",
            {"id": "id", "email": f"'person' || lpad(n::text, 5, '0') || '@{DOMAIN}'", "name": "'Person ' || n",
             "password": "'!' || md5(n::text)", "date_joined": "joined", "is_active": "n %% 40 <> 7",
             "is_staff": "is_staff", "last_login": "now() - (n %% 90) * interval '1 day'",
             "plan_id": "CASE WHEN n %% 3 = 0 THEN NULL ELSE (%(plans)s::bigint[])[1 + n %% 3] END"},
            plans=plans,
        )  # fmt: skip
        cursor.execute(
            "INSERT INTO accounts_user_groups (user_id, group_id) SELECT id, (%(teams)s::int[])[1 + n %% %(count)s]"
            " FROM scale_person UNION SELECT id, (%(teams)s::int[])[1 + (n * 7) %% %(count)s] FROM scale_person"
            " WHERE n %% 10 = 0 ON CONFLICT DO NOTHING",
            {"teams": teams, "count": TEAMS},
        )


def _add_conversations(cursor: Any, first: int, last: int, people: int) -> None:
    with transaction.atomic():
        given = {"first": first, "last": last, "people": people, "models": list(MODELS), "model_count": len(MODELS)}
        cursor.execute("DROP TABLE IF EXISTS scale_turn")
        cursor.execute(_TURNS, given)
        cursor.execute("CREATE INDEX ON scale_turn (c, k)")
        ends = "(SELECT * FROM scale_turn WHERE k = turns) t"
        insert(cursor, Conversation, ends, {
            "id": "chat", "title": "'About ' || topic", "model": "model",
            "created_at": "at - turns * interval '3 minutes'",
            "updated_at": "at + interval '8 seconds'", "tip_id": "answer",
            "deleted_at": "CASE WHEN c %% 50 = 0 AND at > now() - interval '25 days' THEN now() - interval '1 day' END",
        })  # fmt: skip
        insert(cursor, Member, ends, {
            "conversation_id": "chat", "user_id": "person", "role": "'owner'",
            "joined_at": "at - turns * interval '3 minutes'",
        })  # fmt: skip
        insert(cursor, Message, "scale_turn t ORDER BY c, k", {
            "id": "question", "conversation_id": "chat", "author_id": "person", "role": "'user'",
            "status": "'complete'",
            "parent_id": "(SELECT b.answer FROM scale_turn b WHERE b.c = t.c AND b.k = t.k - 1)",
            "text": "'How do I get along with ' || topic || ', attempt ' || k || ' of ' || c || '?'",
            "created_at": "at",
        })  # fmt: skip
        failed = "fate < 20"
        insert(cursor, Message, "scale_turn t ORDER BY c, k", {
            "id": "answer", "conversation_id": "chat", "parent_id": "question", "role": "'assistant'",
            "status": f"CASE WHEN {failed} THEN 'failed' ELSE 'complete' END",
            "text": f"CASE WHEN {failed} THEN '' ELSE {_ANSWER} END",
            "html": f"CASE WHEN {failed} THEN '' ELSE '<p>' || {_ANSWER} || '</p>' END",
            "created_at": "at + interval '1 ms'",
        })  # fmt: skip
        run = {
            "conversation_id": "chat", "prompt_id": "question", "message_id": "answer", "requested_by_id": "person",
            "model": "model", "endpoint": f"'{ENDPOINT}'", "attempt": "1", "ended_in_log": "true",
            "status": f"CASE WHEN {failed} THEN 'failed' ELSE 'done' END", "enqueued_at": "at", "started_at": "at",
            "error_code": f"CASE WHEN {failed} THEN"
                          " (ARRAY['upstream_timeout', 'upstream_error', 'worker_lost'])[1 + fate %% 3] ELSE '' END",
            "error_message": f"CASE WHEN {failed} THEN 'The model did not answer.' ELSE '' END",
            "upstream_said": f"CASE WHEN {failed} THEN 'HTTP 503: overloaded' ELSE '' END",
            "finish": f"CASE WHEN {failed} THEN '' ELSE 'stop' END",
            "queued_ms": "3 + fate %% 40", "created_at": "at", "finished_at": "at + interval '8 seconds'",
            "first_token_ms": f"CASE WHEN {failed} THEN NULL WHEN fate %% 60 = 0 THEN 9000 ELSE 300 + fate END",
            "total_ms": "4000 + fate * 5", "input_tokens": "400 + fate * 3", "output_tokens": "80 + fate",
            "cost": "CASE WHEN model = 'scale-unpriced' THEN NULL ELSE (400 + fate * 7) * 0.00001 END",
        }  # fmt: skip
        insert(cursor, Run, "scale_turn t", {"id": "run", "latest": "fate %% 15 <> 3", "part": "1", **run})
        second = "pg_temp.id_at(at + interval '9 seconds', 's' || c || '.' || k)"
        insert(cursor, Run, "scale_turn t WHERE fate %% 15 = 3", {
            "id": second, "latest": "true", "part": "2", **run, "created_at": "at + interval '9 seconds'",
            "finished_at": "at + interval '12 seconds'",
        })  # fmt: skip
        insert(cursor, Rating, "scale_turn t WHERE fate %% 50 = 9", {
            "message_id": "answer", "user_id": "person", "value": "CASE WHEN fate %% 3 = 0 THEN -1 ELSE 1 END",
            "model": "model", "rated_at": "at + interval '1 minute'",
        })  # fmt: skip


def _add_usage(cursor: Any, scale: Scale) -> None:
    """An entry of each run, then older ones whose runs are gone, and the sums of days."""
    groups = "COALESCE((SELECT array_agg(g.group_id) FROM accounts_user_groups g WHERE g.user_id = {}), '{{}}')"
    with transaction.atomic():
        cursor.execute(
            "CREATE TEMP TABLE scale_groups ON COMMIT DROP AS SELECT id, n,"  # noqa: S608
            f" {groups.format('s.id')} AS groups FROM scale_person s"
        )
        run = "chat_run r JOIN scale_groups p ON p.id = r.requested_by_id WHERE r.endpoint = %(endpoint)s"
        made = insert(cursor, UsageEntry, run, {
            "id": "pg_temp.id_at(r.created_at, 'u' || r.id)", "at": "r.created_at", "user_id": "r.requested_by_id",
            "run_id": "r.id", "conversation_id": "r.conversation_id", "model": "r.model", "endpoint": "r.endpoint",
            "messages": "1", "input_tokens": "r.input_tokens", "output_tokens": "r.output_tokens", "cost": "r.cost",
            "groups": "p.groups",
        }, endpoint=ENDPOINT)  # fmt: skip
        older = (
            "generate_series(1, %(more)s) e JOIN scale_groups p"
            " ON p.n = 1 + floor(power((abs(hashtext('u' || e)) %% 100000) / 100000.0, 2) * %(people)s)::int,"
            " LATERAL (SELECT now() - interval '150 days' - (abs(hashtext('t' || e)) %% 18000000)"
            " * interval '1 second' AS at,"
            " (%(models)s::text[])[1 + abs(hashtext('m' || e)) %% %(count)s] AS model) t"
        )
        insert(cursor, UsageEntry, older, {
            "id": "pg_temp.id_at(at, 'old' || e)", "at": "at", "user_id": "p.id", "model": "model",
            "endpoint": f"'{ENDPOINT}'", "messages": "1", "input_tokens": "400 + e %% 3000",
            "output_tokens": "80 + e %% 900",
            "cost": "CASE WHEN model = 'scale-unpriced' THEN NULL ELSE (400 + e %% 3000) * 0.00001 END",
            "groups": "p.groups",
        }, more=max(0, scale.entries - made), people=scale.people, models=list(MODELS), count=len(MODELS))  # fmt: skip
    with transaction.atomic():
        summed = (
            "(SELECT (at AT TIME ZONE 'UTC')::date AS day, user_id, model, endpoint, sum(messages) AS messages,"
            " sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(COALESCE(cost, 0)) AS cost,"
            " count(*) FILTER (WHERE cost IS NULL) AS unpriced FROM accounts_usageentry WHERE endpoint = %(endpoint)s"
            " GROUP BY 1, 2, 3, 4) s"
        )
        names = ("day", "user_id", "model", "endpoint", "messages", "input_tokens", "output_tokens", "cost", "unpriced")
        insert(cursor, DailyUsage, summed, {name: name for name in names}, endpoint=ENDPOINT)


def _add_audit(cursor: Any, scale: Scale) -> None:
    source = (
        "generate_series(1, %(rows)s) e JOIN scale_person actor ON actor.n = %(people)s - e %% %(staff)s"
        " JOIN scale_person p ON p.n = 1 + abs(hashtext('p' || e)) %% %(people)s,"
        " LATERAL (SELECT now() - (abs(hashtext('d' || e)) %% 31000000) * interval '1 second' AS at) t"
    )
    with transaction.atomic():
        insert(cursor, AuditEntry, source, {
            "id": "pg_temp.id_at(at, 'audit' || e)", "at": "at", "actor_id": "actor.id",
            "actor_email": f"'person' || lpad(actor.n::text, 5, '0') || '@{DOMAIN}'",
            "verb": "(ARRAY['read_body', 'change', 'switch_off', 'top_up', 'export', 'read_case'])[1 + e %% 6]",
            "object_type": "'accounts.user'", "object_id": "p.id::text", "subjects": "ARRAY[p.id]", "ip": "'192.0.2.7'",
        }, rows=scale.audit, people=scale.people, staff=max(1, min(25, scale.people // 10)))  # fmt: skip
