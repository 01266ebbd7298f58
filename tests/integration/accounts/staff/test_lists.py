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
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import (
    Allowance,
    ApiToken,
    AuditEntry,
    Budget,
    DailyUsage,
    Invitation,
    PendingAct,
    Plan,
    Price,
    Quota,
    ScimToken,
    SiteSettings,
    TopUp,
    UsageEntry,
    UsageReport,
    User,
)
from chat.models import (
    Blob,
    Collection,
    Conversation,
    File,
    JoinLink,
    KnownModel,
    KnownTool,
    Member,
    Message,
    ModerationCase,
    ModerationDecision,
    ModerationRule,
    PeriodicJob,
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
    Webhook,
    WebhookDelivery,
)
from tests.fixtures.called_tools import add_call
from tests.fixtures.waiting_rows import waiting
from tests.integration.accounts.staff.lists import path_of
from tests.integration.accounts.staff.lists import root as root  # a fixture
from workers.models import Embedder, Endpoint, Judge, SearchProvider

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


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


def attached(number: int) -> File:
    where = conversation(number)
    blob = Blob.objects.create(sha256=f"{number:064}", size=1, media_type="text/plain", kind="text", path="x")
    return File.objects.create(name="f.txt", owner=User.objects.get(conversations=where), conversation=where, blob=blob)


MAKERS: dict[type[models.Model], Callable[[int], Any]] = {
    AuditEntry: audit_entry, User: person, Plan: plan, Quota: quota, Price: price, TopUp: top_up, Allowance: allowance,
    ApiToken: lambda number: ApiToken.objects.create(user=person(number), name="x", prefix=f"{number:012x}"),
    ScimToken: lambda number: ScimToken.objects.create(
        name=f"t{number}", prefix=f"{number:012x}", created_by=person(number)
    ),
    PendingAct: lambda number: PendingAct.objects.create(
        kind="erase_user", user=person(number), asked_by=person(1_000 + number), reason="x"
    ),
    Budget: lambda number: Budget.objects.create(name=f"b{number}", amount=5, recipients="a@example.org"),
    UsageReport: lambda number: UsageReport.objects.create(name=f"r{number}", by="user"),
    UsageEntry: usage_entry, DailyUsage: daily_usage, Conversation: conversation, Message: message, Run: run,
    SiteSettings: lambda number: SiteSettings.objects.get_or_create(pk=1),  # the one page
    Recording: recording, Invitation: invitation, Revision: revision, Rating: rating,
    QueuedMessage: lambda number: waiting_message(conversation(number)),
    ShareLink: lambda number: ShareLink.objects.create(kind="live", audience="users", **link(number)),
    File: attached,
    Collection: lambda number: Collection.objects.create(name=f"c{number}", owner=person(number)),
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
    Webhook: lambda number: Webhook.objects.create(
        name=f"w{number}", url="https://crm.example.org/", owner=person(number)
    ),
    WebhookDelivery: lambda number: WebhookDelivery.objects.create(
        event="user.created", webhook=Webhook.objects.create(name=f"w{number}", url="https://crm.example.org/")
    ),
    PeriodicJob: lambda number: PeriodicJob.objects.create(name=f"job {number}", published_at=timezone.now()),
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
    Embedder: lambda number: Embedder.objects.create(name=f"v{number}", model="m", endpoint=endpoint(number)),
    SearchProvider: lambda number: SearchProvider.objects.create(name=f"s{number}", address="http://searxng:8080"),
}  # fmt: skip


def ask(client: Client, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        response = client.get(path)
    assert response.status_code == 200
    # How many rows there are about is asked of the planner, where there is another page. It reads no row.
    return [one["sql"] for one in captured if "SAVEPOINT" not in one["sql"] and not one["sql"].startswith("EXPLAIN")]


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


def test_an_empty_list_offers_only_what_helps(root: Client) -> None:
    html = root.get("/admin/chat/recording/").content.decode()
    assert "Nothing here yet." in html
    assert "Reset filters" not in html
    for narrowed in ({"q": "harbour"}, {"status__exact": "done"}):
        html = root.get("/admin/chat/recording/", narrowed).content.decode()
        assert "Nothing matches the search and the filters." in html
        assert "Reset filters" in html
