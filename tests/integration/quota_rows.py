"""Turns and quotas as rows, for tests of limits and of what is put down."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, connections, transaction

from accounts import quotas
from accounts.models import User
from accounts.plans import Price, Quota, Unit
from chat import turns
from chat.errors import QuotaExceeded
from chat.models import RunStatus
from chat.protocol import MessageSend
from chat.runs import Ended, Ending, claim, end_run

MODEL = "small"


def send(user: User, conversation: uuid.UUID | None = None, text: str = "Hello") -> turns.Accepted:
    return turns.accept(user.pk, MessageSend(conversation_id=conversation, client_id=uuid.uuid4(), text=text))


def tokens(into: int, out: int, text: str = "An answer", **more: Any) -> Ending:
    return Ending(text, input_tokens=into, output_tokens=out, **more)


def end(run_id: uuid.UUID, ending: Ending | None = None, status: RunStatus = RunStatus.DONE) -> Ended:
    claimed = claim(run_id, "worker")
    assert claimed is not None
    ended = end_run(run_id, claimed.run.attempt, status, ending or tokens(10, 20), owner="worker")
    assert ended is not None
    return ended


def give(user: User, limit: float | str, unit: Unit = Unit.MESSAGES, period: str = "day", **more: Any) -> Quota:
    return Quota.objects.create(user=user, unit=unit, period=period, limit=Decimal(limit), **more)


def standing(user: User) -> dict[str, tuple[float | Decimal, float | Decimal]]:
    """Used and reserved, by unit."""
    return {left.unit: (left.used, left.reserved) for left in quotas.quotas_left(user.pk)}


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` gives, or raises, in threads that start at once, each with a connection of its own."""
    barrier, results = threading.Barrier(count), []

    def run(number: int) -> None:
        barrier.wait()
        try:
            results.append(work(number))
        except Exception as error:
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Elsewhere(threading.Thread):
    """Work on a connection of its own. `blocked` waits until PostgreSQL says that it waits for a lock."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self.work = work
        self.pid: int | None = None
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                [self.pid] = cursor.fetchone()
            self.outcome = self.work()
        except Exception as error:
            self.outcome = error
        finally:
            connections.close_all()

    def blocked(self) -> bool:
        """False when the work was done without waiting."""
        with connection.cursor() as cursor:
            while self.is_alive():
                cursor.execute("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", [self.pid])
                row = cursor.fetchone()
                if row and row[0]:
                    return True
                time.sleep(0.01)
        return False


def refused(user: User) -> bool:
    """Whether the next message is too many; leaves nothing behind."""
    with transaction.atomic():
        try:
            send(user)
        except QuotaExceeded:
            return True
        finally:
            transaction.set_rollback(True)
    return False


def price(valid_from: datetime, into: str, out: str, **more: Any) -> Price:
    return Price.objects.create(
        valid_from=valid_from, input_per_million=Decimal(into), output_per_million=Decimal(out), **more
    )
