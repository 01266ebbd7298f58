"""Mentions as rows: who is mentioned by which message, and how they are told."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import redis
import structlog
from channels.exceptions import ChannelFull
from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from chat.catalog.access import models_of
from chat.eventlog.user_events import notify_user
from chat.models import Member, Mention, Message
from chat.notifications.notify import Kind, News, notify_all
from chat.protocol.errors import Invalid
from chat.telemetry import metrics
from chat.turns.mentions import SIGNS, Found, Person, find_mentions

MOST_MENTIONED: Final = 20  # people, by one message

logger = structlog.get_logger(__name__)


def read_mentions(user_id: uuid.UUID, conversation_id: uuid.UUID, text: str) -> list[Found]:
    """The members and models that a text of this user mentions. Nobody who has left, or whose account is disabled."""
    if not SIGNS.search(text):
        return []
    rows = Member.objects.filter(conversation_id=conversation_id, user__is_active=True, user__erase_at=None)
    people = [Person(member.user_id, member.user.display_name) for member in rows.select_related("user")]
    return find_mentions(text, people, _models_by_name(user_id))


def note_mentions(message: Message) -> None:
    """Notes in a message that is about to be stored whom its text mentions. Raises `Invalid` for too many people."""
    assert message.author_id is not None
    found = read_mentions(message.author_id, message.conversation_id, message.text)
    message.mentions = [one.stored() for one in found]
    if len(people_of(message)) > MOST_MENTIONED:
        raise Invalid(
            _("A message can mention at most %(most_mentioned)s people.") % {"most_mentioned": MOST_MENTIONED}
        )


def note_released(message: Message) -> Sequence[uuid.UUID]:
    """Notes whom a message mentions whose text was withheld until now, and stores it. Returns who is to be told."""
    if message.author_id is None:
        return ()
    found = read_mentions(message.author_id, message.conversation_id, message.text)
    message.mentions = [one.stored() for one in found]
    return store_mentions(message) if len(people_of(message)) <= MOST_MENTIONED else ()


def people_of(message: Message) -> list[uuid.UUID]:
    """Whom a message mentions, without its author."""
    found = dict.fromkeys(uuid.UUID(one["user"]) for one in message.mentions if "user" in one)
    return [person for person in found if person != message.author_id]


def store_mentions(message: Message) -> Sequence[uuid.UUID]:
    """Stores whom a message mentions, in the transaction that stores it. Returns who is to be told.

    Nobody, if its author has mentioned more than MENTIONS_PER_HOUR people within an hour: the message is as it is.
    """
    people = people_of(message)
    if not people:
        return ()
    limit = settings.MENTIONS_PER_HOUR
    recent = Mention.objects.filter(by=message.author_id, created_at__gt=Now() - timedelta(hours=1))
    if limit and recent.count() + len(people) > limit:
        metrics.denials["mentions"] += 1
        return ()
    rows = [Mention(message=message, user_id=person, by_id=message.author_id) for person in people]
    Mention.objects.bulk_create(rows, ignore_conflicts=True)  # one that moderation released was stored before, maybe
    return people


def read_message(message_id: uuid.UUID) -> Message:
    """A message with its author, for `notify_mentioned`."""
    return Message.objects.select_related("author").get(pk=message_id)


async def notify_mentioned(message: Message, people: Sequence[uuid.UUID]) -> None:
    """Tells members that a message mentions them, once: the notice `mention` to each of their open pages, and a browser
    notification to those who are away.

    The notice has no text. If it is lost, their list of conversations shows it when it is next loaded.
    """
    author = message.author
    frame = {
        "type": "mention",
        "conversation_id": str(message.conversation_id),
        "message_id": str(message.pk),
        "by": {"id": str(author.pk), "name": author.display_name} if author else None,
    }
    try:
        for person in people:
            await notify_user(person, frame)
    except (redis.RedisError, OSError, ChannelFull) as error:
        logger.warning("notice_lost", kind="mention", error=type(error).__name__)
    if people:
        await notify_all([News(Kind.MENTIONED, message.conversation_id, message.pk, tuple(people))])


def mentioned_in(user_id: uuid.UUID) -> QuerySet[Mention, uuid.UUID]:
    """The ids of the conversations in which somebody has mentioned a user, who has not seen it."""
    unseen = Mention.objects.filter(user=user_id, seen_at=None, message__conversation__deleted_at=None)
    listed = unseen.filter(message__conversation__memberships__user=user_id)
    return listed.values_list("message__conversation", flat=True).distinct()


def note_seen(user_id: uuid.UUID, conversation_id: uuid.UUID) -> None:
    """The user has the conversation in front of them, and so has seen what mentions them in it."""
    unseen = Mention.objects.filter(user=user_id, seen_at=None, message__conversation=conversation_id)
    unseen.update(seen_at=Now())


def _models_by_name(user_id: uuid.UUID) -> Mapping[str, str]:
    """The ids of the models that a user may choose, by id, by label, and by what follows the last `/` of an id."""
    names: dict[str, str] = {}
    for model in models_of(user_id):
        for name in (model["id"], model["label"], model["id"].rpartition("/")[2]):
            names.setdefault(name, model["id"])
    return names
