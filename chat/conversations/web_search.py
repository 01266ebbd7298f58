"""The switch of a conversation that lets models search the web."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction

from accounts.features import WEB_SEARCH_OFF, is_on
from accounts.models.site import Feature
from chat.conversations.membership import member_of
from chat.conversations.publishing import publish_setting
from chat.models import Conversation
from chat.protocol.errors import Forbidden


def switch_web_search(user_id: uuid.UUID, conversation_id: uuid.UUID, *, on: bool) -> dict[str, Any]:
    """Lets models search the web in this conversation from the next answer on, or no longer; tells every open tab.

    Owners and editors may. Whether the web can be searched at all is decided for each answer, by the tools that whoever
    asks may use. Raises `NotFound`, `Forbidden`.
    """
    if on and not is_on(Feature.WEB_SEARCH):
        raise Forbidden(WEB_SEARCH_OFF)
    with transaction.atomic():
        member_of(user_id, conversation_id, write=True)
        conversation = Conversation.objects.select_for_update(no_key=True).get(pk=conversation_id)
        conversation.web_search = on
        conversation.save(update_fields=["web_search"])
    publish_setting(conversation, "web_search")
    return {"web_search": on}
