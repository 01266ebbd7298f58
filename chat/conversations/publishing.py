"""Tells the open tabs of a conversation that one of its settings has changed."""

from __future__ import annotations

import redis
import structlog
from asgiref.sync import async_to_sync

from chat.eventlog import events, store
from chat.models import Conversation

logger = structlog.get_logger(__name__)


def publish_setting(conversation: Conversation, setting: str) -> None:
    """Tells every tab that shows the conversation, after the commit. `setting` names what changed, for the log.

    Without Redis, tabs see the change when they next load.
    """
    append = store.Append(conversation.pk, [events.conversation_updated(conversation)])
    try:
        async_to_sync(store.append)(append)
    except (redis.RedisError, OSError) as error:
        logger.warning("setting_not_published", setting=setting, error=type(error).__name__)
