"""What answers cost: the price of the moment, the model and the endpoint, exactly."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import DailyUsage, Unit, UsageEntry, User
from chat.eventlog.payloads import usage_of
from chat.models import Conversation, Run, RunStatus
from chat.protocol.errors import QuotaExceeded
from chat.runs.claims import Checkpoint, checkpoint, claim
from chat.runs.ending import Ending, end_run
from tests.fixtures.quota_rows import MODEL, end, give, price, send, standing, tokens

pytestmark = pytest.mark.usefixtures("one_model")


@pytest.mark.django_db
def test_the_price_of_the_moment_and_the_model_exactly(alice: User) -> None:
    now = datetime.now(UTC)
    price(now - timedelta(days=9), "100", "100")
    price(now - timedelta(days=9), "1", "1", model=MODEL)
    price(now - timedelta(days=1), "0.15", "0.6", model=MODEL, cached_per_million=Decimal("0.075"))
    price(now + timedelta(days=1), "99", "99", model=MODEL)
    price(now - timedelta(days=5), "3", "15", model=MODEL, endpoint="dear.example")
    ended = end(send(alice).run_id, tokens(1001, 333, cached_tokens=1))
    run = Run.objects.get()
    assert run.cost == Decimal("0.000349875")  # (1000 × 0.15 + 1 × 0.075 + 333 × 0.6) / 1e6
    assert usage_of(run)["cost"] == "0.000349875"
    assert b'"cost":"0.000349875"' in ended.event[0]
    end(send(alice).run_id, tokens(1, 1, endpoint="dear.example"))
    assert {entry.cost for entry in UsageEntry.objects.all()} == {Decimal("0.000349875"), Decimal("0.000018")}
    [cheap, dear] = DailyUsage.objects.order_by("endpoint")
    assert (cheap.cost, dear.cost) == (Decimal("0.000349875"), Decimal("0.000018"))


@pytest.mark.django_db
def test_two_servers_on_one_machine_have_prices_of_their_own(alice: User) -> None:
    since = datetime.now(UTC) - timedelta(days=1)
    price(since, "9", "9", model=MODEL)
    price(since, "2", "0", model=MODEL, endpoint="gpu.example")
    price(since, "3", "0", model=MODEL, endpoint="gpu.example:8081")
    price(since, "4", "0", model=MODEL, endpoint="gpu.example:8082")
    price(since, "5", "0", model=MODEL, endpoint="::1")
    million = 1_000_000
    for endpoint in ("gpu.example:8081", "gpu.example:8082", "gpu.example:8083", "gpu.example", "[::1]:8081", "::1"):
        end(send(alice).run_id, tokens(million, 0, endpoint=endpoint))
    assert dict(DailyUsage.objects.values_list("endpoint", "cost")) == {
        "gpu.example:8081": 3, "gpu.example:8082": 4, "gpu.example:8083": 2, "gpu.example": 2, "[::1]:8081": 5,
        "::1": 5,
    }  # fmt: skip


@pytest.mark.django_db
def test_without_a_price_the_cost_is_unknown_and_a_spending_limit_refuses(alice: User) -> None:
    end(send(alice).run_id)
    assert Run.objects.get().cost is None
    assert DailyUsage.objects.get().unpriced == 1
    limit = give(alice, 1, Unit.MONEY)
    with pytest.raises(QuotaExceeded, match="no price"):
        send(alice)
    limit.hard = False
    limit.save()
    send(alice)


@pytest.mark.django_db
def test_money_runs_out(alice: User) -> None:
    price(datetime.now(UTC) - timedelta(days=1), "1000", "2000", model=MODEL)
    give(alice, "4", Unit.MONEY)
    run = send(alice).run_id
    assert standing(alice) == {"money": (0, 3)}, "1000 tokens in and out, as the settings guess"
    end(run, tokens(1000, 1500))
    assert standing(alice) == {"money": (4, 0)}
    with pytest.raises(QuotaExceeded):
        send(alice)


@pytest.mark.django_db
def test_a_negative_price_is_refused() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        price(datetime.now(UTC), "-1", "1")


@pytest.mark.django_db
def test_what_a_conversation_costs(alice: User, bob: User, client: Client) -> None:
    price(datetime.now(UTC) - timedelta(days=1), "1000", "2000", model=MODEL)
    first = send(alice, text="A long story")
    end(first.run_id, tokens(1000, 500))
    end(send(alice, first.conversation_id).run_id, tokens(1000, 500))
    second = send(alice, text="<b>Short</b>")
    end(second.run_id, tokens(10, 10))
    gone = send(alice, text="Gone")
    end(gone.run_id, tokens(1, 1))
    Conversation.objects.filter(pk=gone.conversation_id).delete()
    end(send(bob).run_id)
    out = io.StringIO()
    call_command("usage", "--by=conversation", "--user=alice@example.org", "--format=json", stdout=out)
    rows = {row["conversation"]: (row["messages"], row["cost"]) for row in json.loads(out.getvalue())}
    assert rows == {
        str(first.conversation_id): (2, "4"),
        str(second.conversation_id): (1, "0.03"),
        str(gone.conversation_id): (1, "0.003"),
    }
    client.force_login(alice)
    page = client.get("/accounts/usage/").content.decode()
    assert f'<a href="/c/{first.conversation_id}/">A long story</a>' in page
    assert "&lt;b&gt;Short&lt;/b&gt;" in page
    assert "deleted" in page
    client.force_login(bob)
    assert "A long story" not in client.get("/accounts/usage/").content.decode()


@pytest.mark.django_db
def test_a_lost_workers_answer_is_priced_by_what_it_read_and_wrote(alice: User, settings: Any) -> None:
    price(datetime.now(UTC) - timedelta(days=1), "1000000", "1000000", endpoint="dear.example")
    settings.SYSTEM_PROMPT = "s" * 40
    first = send(alice, text="q" * 100)
    end(first.run_id, tokens(1, 1, "a" * 60))
    second = send(alice, first.conversation_id, text="q" * 40)
    held = claim(second.run_id, "lost")
    assert held is not None
    checkpoint([Checkpoint(second.run_id, 1, "e", 1, "w" * 20, "dear.example")], "lost")
    ended = end_run(second.run_id, 1, RunStatus.INTERRUPTED, Ending("w" * 20), owner="lost")
    assert ended is not None
    entry = UsageEntry.objects.get(run_id=second.run_id)
    assert (entry.input_tokens, entry.output_tokens, entry.estimated) == ((40 + 100 + 60 + 40) // 4, 5, True)
    assert (entry.endpoint, entry.cost) == ("dear.example", 65)
    run = Run.objects.get(pk=second.run_id)
    assert (run.input_tokens, run.usage_estimated) == (60, True)
    assert run.cost == 65


@pytest.mark.django_db
def test_what_no_endpoint_was_asked_costs_nothing(alice: User) -> None:
    run = send(alice).run_id
    claim(run, "lost")
    end_run(run, 1, RunStatus.STOPPED, Ending(""), owner="lost")
    entry = UsageEntry.objects.get()
    assert (entry.input_tokens, entry.output_tokens, entry.estimated) == (0, 0, True)


@pytest.mark.django_db
def test_an_estimate_never_says_more_than_a_model_reads(alice: User, settings: Any) -> None:
    settings.MODEL_CONTEXT_TOKENS = 100
    run = send(alice, text="q" * 1000).run_id
    claim(run, "lost")
    end_run(run, 1, RunStatus.INTERRUPTED, Ending("Half"), owner="lost")
    assert UsageEntry.objects.get().input_tokens == 100
