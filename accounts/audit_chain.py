"""The hash chain of the audit log: whether entries were changed, removed or slipped in afterwards.

Every minute `seal` numbers the entries that are older than `SETTLED_SECONDS` and have no seal yet, in the order of
their ids. The hash of a seal is the SHA-256 of the hash before it and of the entry as JSON. Who alters one entry has to
alter every seal after it, and an export that somebody has kept still has the old ones.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.models import AuditEntry, AuditSeal

SETTLED_SECONDS: Final = 60  # after which no transaction that began before is still to write an entry
AT_ONCE: Final = 5000
GENESIS: Final = "0" * 64
LOCK: Final = 0x4175_6469  # of one sealer at a time
FIELDS: Final = (
    "id", "at", "actor_id", "actor_email", "verb", "object_type", "object_id", "conversation_id", "ip", "details",
    "subjects", "reason", "changes", "system_user",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sealed` entries were checked. `wrong` names the first that do not fit, each with a sentence.

    `head`: the last hash. `waiting`: entries without a seal, of which nothing is known yet.
    """

    sealed: int
    waiting: int
    head: str
    wrong: list[str]


def as_facts(entry: AuditEntry) -> dict[str, Any]:
    """What of an entry is hashed, as it is in JSON. Times are UTC."""
    facts: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(entry, name)
        if name == "at":
            value = value.astimezone(UTC).isoformat(timespec="microseconds")
        elif isinstance(value, uuid.UUID):
            value = str(value)
        elif name == "subjects":
            value = [str(one) for one in value]
        facts[name] = value
    return facts


def next_hash(before: str, facts: dict[str, Any]) -> str:
    """The hash of an entry after the hash `before`."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def unsealed() -> Any:
    return AuditEntry.objects.filter(~Exists(AuditSeal.objects.filter(entry_id=OuterRef("pk"))))


def seal() -> int:
    """Seals what has settled, up to `AT_ONCE` entries in a transaction; returns how many."""
    count = 0
    while True:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            last = AuditSeal.objects.order_by("-number").first()
            settled = timezone.now() - timedelta(seconds=SETTLED_SECONDS)
            rows = list(unsealed().filter(at__lt=settled).order_by("id")[:AT_ONCE])
            seals, before = [], last.hash if last else GENESIS
            for number, row in enumerate(rows, last.number + 1 if last else 1):
                before = next_hash(before, as_facts(row))
                seals.append(AuditSeal(number=number, entry_id=row.pk, hash=before))
            AuditSeal.objects.bulk_create(seals)
        count += len(rows)
        if len(rows) < AT_ONCE:
            return count


def chained() -> Iterator[tuple[int, str, AuditEntry | None]]:
    """All seals in order: the number, the hash, and the entry (None: it is gone)."""
    after = 0
    while seals := list(AuditSeal.objects.filter(number__gt=after).order_by("number")[:AT_ONCE]):
        found = AuditEntry.objects.in_bulk([one.entry_id for one in seals])
        for one in seals:
            yield one.number, one.hash, found.get(one.entry_id)
        after = seals[-1].number


def verify() -> Verdict:
    """Computes the chain anew and compares."""
    links = ((number, hash_, as_facts(entry) if entry else None) for number, hash_, entry in chained())
    sealed, head, wrong = check(links)
    return Verdict(sealed, unsealed().count(), head, wrong)


def check(links: Iterable[tuple[int, str, dict[str, Any] | None]], most: int = 20) -> tuple[int, str, list[str]]:
    """How many links there are, the last hash, and the first `most` that are wrong. `links`: number, hash, facts."""
    before, count, wrong = GENESIS, 0, []
    expected = 1
    for number, hash_, facts in links:
        if facts is None:
            wrong.append(f"{number}: the entry is gone.")
        elif next_hash(before, facts) != hash_:
            wrong.append(f"{number}: the entry {facts['id']} is not as it was when it was sealed.")
        if number != expected:
            wrong.append(f"{expected} to {number - 1}: the seals are gone.")
        before, expected, count = hash_, number + 1, count + 1
    return count, before, wrong[:most]
