"""What answers have cost, on the dashboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.lib.ids import uuid7
from accounts.models import User
from accounts.quotas.settlement import Used
from chat.dashboard import runs as runs_module
from chat.dashboard import usage as usage_module
from chat.dashboard.cache import cache
from chat.dashboard.period import PERIODS
from tests.conftest import make_user
from tests.integration.chat.dashboard.shown import make_run, show

FRAME = re.compile("SAVEPOINT|RELEASE|SET LOCAL|SELECT set_config")  # of transactions and time limits

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


class TestCost:
    def test_a_handful_of_questions(self, sam: Client, alice: User) -> None:
        def ask(period: str) -> list[str]:
            cache.clear()
            with CaptureQueriesContext(connection) as captured:
                show(sam, period=period)
            return [query["sql"] for query in captured if not FRAME.match(query["sql"])]

        make_run(alice)
        few = ask("30d")
        for _ in range(12):
            make_run(make_user(uuid7().hex), used=Used("m-1", messages=1, input_tokens=5))
        many = ask("30d")
        # The session, the person, two of permissions, exports that are ready, budgets, the last backup; now, the queue,
        # runs, usage.
        assert len(few) == len(many) <= 11, "\n".join(many)
        with CaptureQueriesContext(connection) as captured:
            show(sam, period="30d")
        assert len(captured) <= 5, "what was just asked is kept"

    @pytest.mark.parametrize(
        "query",
        [
            runs_module._RUNS,
            usage_module._USAGE.format(usage_module._ENTRIES),
            usage_module._USAGE.format(usage_module._DAYS),
        ],
    )
    def test_newest_rows_by_an_index(self, query: str) -> None:
        values: dict[str, Any] = {"since": timezone.now(), "max_rows": 10, "step": 60, "top": 10}
        with connection.cursor() as cursor:
            for way in ("seqscan", "bitmapscan", "sort"):  # which a small table would be better off with
                cursor.execute(f"SET LOCAL enable_{way} = off")
            cursor.execute(f"EXPLAIN {query}", values)
            plan = "\n".join(row[0] for row in cursor.fetchall())
        newest = plan.partition("CTE newest")[2].partition("CTE")[0]
        assert "Index" in newest
        assert "Sort" not in newest.partition("InitPlan")[0], plan


def test_money_is_exact(alice: User) -> None:
    from accounts.models import Price

    Price.objects.create(
        model="m-1",
        input_per_million=Decimal("0.1"),
        output_per_million=0,
        valid_from=timezone.now() - timedelta(days=9),
    )
    for _ in range(3):
        make_run(alice, used=Used("m-1", messages=1, input_tokens=1_000_000))
    usage = usage_module.read_usage(PERIODS["24h"])
    assert usage is not None
    assert sum(one.cost for one in usage.models) == Decimal("0.3")
