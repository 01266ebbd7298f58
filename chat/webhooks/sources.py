"""Where events come from: answers that end, quotas that they use up, new users, and moderation cases."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models.signals import post_delete, post_save

from accounts.models import User
from accounts.quotas.balance import user_balances
from chat.models import ModerationCase, Run
from chat.models.webhooks import Webhook, WebhookEvent
from chat.runs import ending
from chat.webhooks.record import forget_wanted, is_wanted, record_event


def register_sources() -> None:
    ending.on_ended.append(note_ended)
    ending.wants_ended.append(wants_ended)
    post_save.connect(note_user, sender=User)
    post_save.connect(note_case, sender=ModerationCase)
    for signal in (post_save, post_delete):
        signal.connect(forget_wanted, sender=Webhook)


def wants_ended(about: uuid.UUID | None) -> bool:
    """Whether a webhook wants to know of the end of an answer that this user asked for."""
    return is_wanted(WebhookEvent.ANSWER_FINISHED, about) or is_wanted(WebhookEvent.QUOTA_REACHED, about)


def note_ended(run: Run) -> None:
    """Called within the transaction that ends a run and bills it."""
    about = run.requested_by_id
    if is_wanted(WebhookEvent.ANSWER_FINISHED, about):
        record_event(WebhookEvent.ANSWER_FINISHED, _answer(run), about=about)
    if about is not None and is_wanted(WebhookEvent.QUOTA_REACHED, about):
        for balance in user_balances(about):
            if balance.remaining <= 0:
                owner = "" if balance.shared_by else f":{about}"
                key = f"quota:{balance.quota_id}{owner}:{balance.ends_at or ''}:{balance.limit}"
                quota = {**balance.frame(), "shared_by": balance.shared_by or None}
                record_event(WebhookEvent.QUOTA_REACHED, {"user_id": str(about), "quota": quota}, key=key, about=about)


def _answer(run: Run) -> dict[str, Any]:
    return {
        "conversation_id": str(run.conversation_id),
        "message_id": str(run.message_id),
        "question_id": str(run.prompt_id),
        "run_id": str(run.pk),
        "user_id": str(run.requested_by_id) if run.requested_by_id else None,
        "model": run.model,
        "status": run.status,
        "finish": run.finish or None,
        "code": run.error_code or None,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cost": None if run.cost is None else str(run.cost),
    }


def note_user(instance: User, created: bool, raw: bool = False, **_kwargs: Any) -> None:
    if created and not raw:
        record_event(WebhookEvent.USER_CREATED, {"user_id": str(instance.pk), "is_active": instance.is_active})


def note_case(instance: ModerationCase, created: bool, raw: bool = False, **_kwargs: Any) -> None:
    if not created or raw:
        return
    data = {
        "case_id": str(instance.pk),
        "target": instance.target,
        "origin": instance.origin,
        "action": instance.action,
        "category": instance.category,
        "severity": int(instance.severity),
        "user_id": str(instance.person_id) if instance.person_id else None,
        "conversation_id": str(instance.conversation_id) if instance.conversation_id else None,
    }
    record_event(WebhookEvent.CASE_OPENED, data)
