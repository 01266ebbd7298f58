"""Records what clients receive, and reads what PostgreSQL holds."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from tests.client import Client
from tests.history.data import Period, Rows, Viewer
from tests.history.invariants import find_violations
from tests.history.readers import Reader, find_reader_violations
from tests.stack import Stack

C = TypeVar("C", bound=Client)


class History:
    """Records of all clients of one test. `withheld` are words that a rule masks or blocks in answers."""

    def __init__(self, withheld: Sequence[str] = ()) -> None:
        self.withheld = withheld
        self.viewers: list[Viewer] = []
        self.readers: list[Reader] = []  # of share links
        self._of_views: dict[int, Viewer] = {}
        self._periods: dict[str, dict[str, list[Period]]] = {}  # by user and conversation

    def watch(self, client: C, user: str = "alice") -> C:
        """Takes a client in; clients that share `views` are one viewer that reconnected."""
        viewer = self._of_views.get(id(client.views))
        if viewer is None:
            viewer = self._of_views[id(client.views)] = Viewer(user, periods=self._periods.setdefault(user, {}))
            self.viewers.append(viewer)
        viewer.sockets.append(client)
        return client

    def admit(self, user: str, conversation_id: str) -> None:
        """From now on `user` may see this, and what was before. To be called before the membership begins.

        Who is never admitted was a member from the beginning.
        """
        periods = self._periods.setdefault(user, {}).setdefault(conversation_id, [])
        if not periods or periods[-1].end is not None:
            periods.append(Period(time.monotonic()))
        for viewer in self.viewers:
            if viewer.user == user:
                viewer.revoked.pop(conversation_id, None)

    def revoke(self, user: str, conversation_id: str = "*") -> None:
        """From now on `user` may not see this."""
        if (periods := self._periods.get(user, {}).get(conversation_id)) and periods[-1].end is None:
            periods[-1].end = time.monotonic()
        for viewer in self.viewers:
            if viewer.user == user:
                viewer.revoked.setdefault(conversation_id, time.monotonic())

    async def settle(self, stack: Stack, seconds: float = 20.0) -> float:
        """Waits until no run is active, no message waits for its turn, and all is in the log; the seconds it took."""
        began = time.monotonic()
        query = (
            "SELECT id, status, ended_in_log FROM chat_run WHERE status IN ('queued','running') OR NOT ended_in_log "
            "UNION ALL SELECT id, state, logged = revision FROM chat_queuedmessage "
            "WHERE logged < revision OR state = 'waiting' AND (reason = '' OR retry_at IS NOT NULL)"
        )
        while unsettled := await asyncio.to_thread(stack.sql, query):
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not at rest after {seconds} s: {unsettled}")
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    def check(self, stack: Stack, snapshots: Iterable[dict[str, Any]] = ()) -> None:
        """Asserts I1-I13 and I15. `snapshots`: fresh `subscribed` frames; each viewer ends with the same."""
        rows = read_rows(stack)
        found = find_violations(self.viewers, rows, snapshots, self.withheld)
        found += find_reader_violations(self.readers, rows, self.withheld)
        assert not found, "\n".join(found[:40])


async def fresh_snapshots(client: Client, conversations: Iterable[str]) -> list[dict[str, Any]]:
    """`subscribed` frames of a client that has seen nothing yet."""
    replies = [await client.ask("subscribe", conversation_id=one) for one in conversations]
    assert all(reply["type"] == "subscribed" and not reply["recovered"] for reply in replies), replies
    return replies


def read_rows(stack: Stack) -> Rows:
    """The database as it is now."""

    def of(query: str) -> list[dict[str, Any]]:
        return [
            {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in row.items()}
            for row in stack.sql(query)
        ]

    name = "split_part(u.email, '@', 1) AS user"
    return Rows(
        messages={
            row["id"]: row
            for row in of(
                "SELECT m.id, conversation_id, parent_id, role, text, status, split_part(u.email, '@', 1) AS author "
                "FROM chat_message m LEFT JOIN accounts_user u ON u.id = author_id"
            )
        },
        runs={
            row["id"]: row
            for row in of(
                "SELECT r.id, conversation_id, prompt_id, message_id, status, attempt, ended_in_log, lease_expires_at, "
                "input_tokens, output_tokens, heard_chars, produced_chars, part, latest, base_chars, slot, "
                "split_part(u.email, '@', 1) AS requested_by "
                "FROM chat_run r LEFT JOIN accounts_user u ON u.id = requested_by_id"
            )
        },
        bills=of("SELECT run_id, input_tokens, output_tokens FROM accounts_usageentry WHERE run_id IS NOT NULL"),
        steps=of("SELECT run_id, number, kind, status, input_tokens, output_tokens FROM chat_step"),
        calls={
            row["id"]: row
            for row in of(
                "SELECT c.id, c.run_id, c.name, c.effect, c.status, c.tries, c.decision, (SELECT count(*) FROM "
                "chat_step s WHERE s.run_id = c.run_id AND s.kind = 'approval') AS waits FROM chat_toolcall c"
            )
        },
        reasoning={row["run_id"]: row["text"] for row in of("SELECT run_id, text FROM chat_reasoning")},
        queued=of(
            f"SELECT q.id, {name}, client_id, state, reason, revision, logged "  # noqa: S608 -- a constant
            "FROM chat_queuedmessage q JOIN accounts_user u ON u.id = author_id"
        ),
        comparisons={row["prompt_id"]: row for row in of("SELECT prompt_id, size, chosen_id FROM chat_comparison")},
        reserved=[row["run_id"] for row in of("SELECT run_id FROM accounts_reservation")],
        submissions=of(
            f"SELECT {name}, client_id, message_id, run_id FROM chat_submission JOIN accounts_user u ON u.id = user_id"  # noqa: S608 -- a constant
        ),
        members={
            (row["conversation_id"], row["user"])
            for row in of(f"SELECT conversation_id, {name} FROM chat_member JOIN accounts_user u ON u.id = user_id")  # noqa: S608 -- likewise
        },
    )
