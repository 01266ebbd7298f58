"""Turns as rows, for tests of what happens to them."""

from __future__ import annotations

import uuid

from django.db import connection

from accounts.models import User
from chat.models import Run
from chat.protocol import MessageSend
from chat.turns import Accepted, accept


def say(user: User, text: str = "Hello", conversation_id: uuid.UUID | None = None) -> Accepted:
    """A message and its queued run, as a command makes them."""
    return accept(user.pk, MessageSend(conversation_id=conversation_id, client_id=uuid.uuid4(), text=text))


def row(run_id: uuid.UUID) -> Run:
    return Run.objects.select_related("message").get(pk=run_id)


def shift(run_id: uuid.UUID, **seconds: float) -> None:
    """Moves times of a run by so many seconds, by the database's clock."""
    assignments = ", ".join(f"{name} = clock_timestamp() + make_interval(secs => %s)" for name in seconds)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE chat_run SET {assignments} WHERE id = %s",  # noqa: S608 -- column names of the tests' own
            [*seconds.values(), run_id],
        )
