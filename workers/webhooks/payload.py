"""What is sent: the body, which texts are read into when it is sent, and the headers with its signatures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from standardwebhooks import Webhook as Signer

from accounts.models import User
from chat.files.payloads import shows_files
from chat.models import Message
from chat.models.webhooks import WebhookDelivery, WebhookEvent


def read_payload(row: WebhookDelivery) -> bytes:
    """The body of a delivery. `row.webhook` should be loaded."""
    data = {**row.data, **_person(row), **(_texts(row) if row.webhook.with_text else {})}
    return msgspec.json.encode({"type": row.event, "timestamp": row.created_at.isoformat(), "data": data})


def _person(row: WebhookDelivery) -> dict[str, Any]:
    """The address of a new user. It is not in the row, so that nothing of somebody who was erased stays there."""
    if row.event != WebhookEvent.USER_CREATED:
        return {}
    user = User.objects.filter(pk=row.data["user_id"]).first()
    found = {"email": user.email if user else None}
    return {**found, "name": user.display_name} if user and row.webhook.with_text else found


def _texts(row: WebhookDelivery) -> dict[str, Any]:
    """What people wrote and a model answered, as readers see it now. Nothing of temporary or deleted conversations."""
    if row.event != WebhookEvent.ANSWER_FINISHED:
        return {}
    kept = Message.objects.select_related("conversation").filter(
        conversation__temporary=False, conversation__deleted_at=None
    )  # fmt: skip
    if row.webhook.owner_id is not None:  # who has left the conversation since reads nothing of it
        kept = kept.filter(conversation__memberships__user=row.webhook.owner_id)
    found = kept.in_bulk([row.data["question_id"], row.data["message_id"]])
    shown = {str(pk): message.text for pk, message in found.items() if shows_files(message)}
    return {"question": shown.get(row.data["question_id"]), "answer": shown.get(row.data["message_id"])}


def headers_of(row: WebhookDelivery, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of the Standard Webhooks specification, signed with each secret."""
    now = datetime.now(UTC)
    signatures = [Signer(secret).sign(str(row.pk), now, body.decode()) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "Antiphon-Webhooks",
        "webhook-id": str(row.pk),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
