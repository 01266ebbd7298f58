"""One row of each kind that staff have pages for."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import (
    Allowance,
    AuditEntry,
    DailyUsage,
    Invitation,
    PendingAct,
    Plan,
    Price,
    Quota,
    ScimToken,
    UsageEntry,
)
from accounts.models.api_tokens import ApiToken
from accounts.models.budgets import Budget, UsageReport
from accounts.quotas import top_ups
from accounts.quotas.settlement import Used, settle_recording
from chat.models import Blob, Conversation, File, KnownTool, Member, Message, ModerationRule, Run, ToolPolicy
from chat.models.collections import Collection
from tests.conftest import make_user
from tests.fixtures.called_tools import add_call
from tests.fixtures.waiting_rows import waiting

SECRET = "krokodil"


class World:
    """One row of each kind that staff have pages for."""

    def __init__(self) -> None:
        self.alice = make_user("Alice")
        plan = Plan.objects.create(name="Gold")
        self.quota = Quota.objects.create(plan=Plan.objects.get(is_default=True), limit=5)
        top_up = top_ups.top_up(self.alice.pk, self.quota.pk, Decimal(1))
        settle_recording(self.alice.pk, uuid.uuid4(), timezone.now(), Used("m", audio_seconds=Decimal(3)))
        conversation = Conversation.objects.create(title=SECRET, system_prompt=SECRET, model="m")
        Member.objects.create(conversation=conversation, user=self.alice, role="owner")
        message = Message.objects.create(conversation=conversation, role="user", author=self.alice, text=SECRET)
        answer = Message.objects.create(conversation=conversation, parent=message, role="assistant", text=SECRET)
        run = Run.objects.create(
            conversation=conversation, prompt=message, message=answer, requested_by=self.alice, model="m",
            status="done", finished_at=timezone.now(),
        )  # fmt: skip
        call = add_call(run, output=SECRET)
        entry = AuditEntry.objects.create(
            actor=self.alice, actor_email="a@example.org", verb="x", object_type="x", object_id="x"
        )
        invitation = Invitation.objects.create(email="x@example.org", token_hash="x", expires_at=timezone.now())
        price = Price.objects.create(model="m", input_per_million=1, output_per_million=1)
        rows: list[Any] = [
            self.alice, plan, self.quota, top_up, conversation, message, run, entry, price, invitation,
            Allowance.objects.get(), UsageEntry.objects.get(), DailyUsage.objects.get(),
            ModerationRule.objects.create(name="r", directions=["asked"], words="x"),
            waiting(self.alice, conversation, SECRET),
            ApiToken.objects.create(user=self.alice, name="x", prefix="0" * 12),
            File.objects.create(name="a.txt", blob=Blob.objects.create(sha256="a", size=1, kind="text", path="a")),
            Collection.objects.create(owner=self.alice, name=SECRET),
            ScimToken.objects.create(name="x", prefix="0" * 12),
            PendingAct.objects.create(kind="erase_user", reason="x"),
            Budget.objects.create(name="b", amount=1, recipients="x@example.org"), UsageReport.objects.create(name="r"),
            call, call.step, KnownTool.objects.create(name="search_web", title="Search"), ToolPolicy.objects.create(),
        ]  # fmt: skip
        self.rows = {row._meta.label_lower: row for row in rows}
