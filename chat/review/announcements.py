"""Tells people what was decided: their open pages at once, after the commit. The cases themselves keep it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts import suspension
from accounts.auth.language import speaking_to
from accounts.lib.outage import OUTAGE
from accounts.lib.texts import gettext_noop, retold
from accounts.models import User
from chat.eventlog import events, store
from chat.eventlog.user_events import listing_of, notify_conversation_listed, notify_user
from chat.models import Conversation, Member
from chat.models.moderation import Action, DecisionKind, ModerationCase, ModerationDecision
from chat.moderation.cases import GENERAL
from chat.review.sanctions import policy_note

logger = structlog.get_logger(__name__)

SUSPENDED: Final = gettext_noop("Your account was suspended.")
_SAID: Final = {
    DecisionKind.RELEASE: gettext_noop("A reviewer decided in your favour."),
    DecisionKind.MASK: gettext_noop("A reviewer decided that parts of your text stay replaced."),
    DecisionKind.DELETE: gettext_noop("A reviewer removed your text because of this site's rules."),
    DecisionKind.WARN: gettext_noop("You are warned: this was against this site's rules."),
    DecisionKind.BLOCK: gettext_noop("Your account has been blocked."),
}


def statement_of(case: ModerationCase, decision: ModerationDecision) -> str:
    """What a decision says to the person: what was decided, the rule's sentence, whether a person or the policy did."""
    if decision.kind == DecisionKind.SUSPEND and decision.until is not None:
        said = _("Your account is suspended until %(localtime)s.") % {
            "localtime": date_format(timezone.localtime(decision.until), "d M Y, H:i T")
        }
    else:
        said = _(_SAID.get(DecisionKind(decision.kind), SUSPENDED))
    if decision.kind == DecisionKind.RELEASE:
        return said
    by = "" if decision.decided_by_id else policy_note(decision.note)
    why = "" if case.notice in GENERAL else retold(case.notice)
    return " ".join(filter(None, (said, why, by)))


def announce_decision(case: ModerationCase, decisions: Sequence[ModerationDecision]) -> None:
    """Sends `moderation.notice` to the open pages of the person, unless they were never notified of the case."""
    if case.person is None or not decisions:
        return
    released = {one.kind for one in decisions} == {DecisionKind.RELEASE}
    if released and case.action == Action.FLAG:
        return
    with speaking_to(case.person):  # and not to the reviewer
        reason = " ".join(statement_of(case, one) for one in decisions)
    frame: dict[str, Any] = {
        "type": "moderation.notice",
        "action": "release" if released else decisions[0].kind,
        "reason": reason,
        "case_id": str(case.pk),
        "decided": True,
    }
    if case.target == "message":
        frame["message_id"] = str(case.target_id)
    _publish_on_commit(partial(notify_user, case.person.pk, frame))


def announce_suspension(user_id: uuid.UUID, until: datetime | None, reason: str) -> None:
    """Tells every open page of a user that the account is suspended, or no more. Called after the commit."""
    message = ""
    if until:
        user = User.objects.only("language", "browser_language").filter(pk=user_id).first()
        with speaking_to(user) if user else nullcontext():
            message = suspension.sentence(until, reason)
    frame = {"type": "account.suspended", "until": until.isoformat() if until else None, "message": message}
    _publish(partial(notify_user, user_id, frame))


def announce_title(conversation: Conversation) -> None:
    """Shows a conversation's new title to its members, after the commit."""
    members = list(Member.objects.filter(conversation=conversation).values_list("user_id", flat=True))
    listing = listing_of(conversation)

    updated = [events.conversation_updated(conversation)]

    async def publish() -> None:
        await store.append(store.Append(conversation.pk, updated))
        for member in members:
            await notify_conversation_listed(member, listing)

    _publish_on_commit(publish)


def _publish_on_commit(send: Callable[[], Coroutine[Any, Any, None]]) -> None:
    transaction.on_commit(partial(_publish, send), robust=True)


def _publish(send: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Without Redis the person reads it when the page is next loaded."""
    try:
        async_to_sync(send)()
    except (*OUTAGE, ChannelFull) as error:
        logger.warning("moderation_notice_lost", error=type(error).__name__)
