"""What a card of a call that waits needs beyond its event, and the approvals that a user has given for longer."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.conversations.membership import member_of
from chat.models import ToolCall
from chat.protocol.errors import NotFound
from chat.views.decorators import for_members


@require_safe
@for_members
def read_arguments(request: HttpRequest, call_id: uuid.UUID) -> JsonResponse:
    """GET: the arguments of a call as they will be or were sent, whole. Any member of its conversation."""
    call = ToolCall.objects.select_related("run").filter(pk=call_id).first()
    if call is None:
        raise NotFound
    member_of(user_of(request).pk, call.run.conversation_id)
    return JsonResponse({"arguments": call.sent_arguments})
