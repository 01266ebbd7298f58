"""Reports: a reader says that a message is against the rules. All reports of a message are one case."""

from __future__ import annotations

import uuid
from typing import Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from chat.models import Member, Message, Run
from chat.models.moderation import (
    Action,
    CaseOrigin,
    CaseTarget,
    Category,
    Direction,
    ModerationCase,
    ModerationReport,
    ReportReason,
    Severity,
)
from chat.moderation.cases import Finding, open_case
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Conflict, Invalid, NotFound

MOST_NOTE: Final = 1000  # characters
_CATEGORIES: Final = {
    ReportReason.HARMFUL: Category.ILLICIT,
    ReportReason.HARASSMENT: Category.HARASSMENT,
    ReportReason.SEXUAL: Category.SEXUAL,
    ReportReason.PERSONAL: Category.PERSONAL,
    ReportReason.SPAM: Category.SPAM,
}
REPORTED: Final = gettext_noop("You have already reported this message.")


def report_message(user_id: uuid.UUID, message_id: uuid.UUID, reason: str, note: str) -> ModerationCase:
    """Reports a message of a conversation that the user can read; the case opens, or the report joins it.

    Raises `NotFound`; `Invalid` for an unknown reason, a note that is too long, an answer in progress; `Conflict` if
    the user has reported the message before.
    """
    note = clean_controls(note).strip()
    if reason not in ReportReason.values:
        raise Invalid(_("Choose a reason."))
    if len(note) > MOST_NOTE:
        raise Invalid(
            _("A note has at most %(most_note)s characters; this one has %(note)s.")
            % {"most_note": MOST_NOTE, "note": len(note)}
        )
    message = _readable(user_id, message_id)
    if message.status in ("pending", "streaming"):
        raise Invalid(_("This answer is still being written. Report it when it has ended."))
    mine = ModerationReport.objects.filter(
        reporter_id=user_id, case__target=CaseTarget.MESSAGE, case__target_id=message_id
    )
    try:
        with transaction.atomic():
            if mine.exists():
                raise Conflict(REPORTED)
            case = open_case(
                CaseTarget.MESSAGE,
                message.pk,
                Finding(
                    CaseOrigin.REPORT, Action.FLAG, _CATEGORIES.get(ReportReason(reason), Category.OTHER),
                    Severity.MEDIUM, "", (),
                ),
                direction=Direction.ASKED if message.role == "user" else Direction.ANSWERED,
                original=message.text,
                person_id=_whose(message, user_id),
                conversation_id=message.conversation_id,
            )  # fmt: skip
            ModerationReport.objects.create(case=case, reporter_id=user_id, reason=reason, note=note)
    except IntegrityError:  # two clicks at once
        raise Conflict(REPORTED) from None
    return case


def _readable(user_id: uuid.UUID, message_id: uuid.UUID) -> Message:
    message = Message.objects.filter(pk=message_id, conversation__deleted_at=None).first()
    if message is None or not Member.objects.filter(user=user_id, conversation=message.conversation_id).exists():
        raise NotFound
    return message


def _whose(message: Message, reporter_id: uuid.UUID) -> uuid.UUID | None:
    """Its author; of an answer, whoever asked for it, unless they report it themselves: nothing counts against them."""
    if message.role == "user":
        return message.author_id
    asked = Run.objects.filter(message=message, latest=True).values_list("requested_by_id", flat=True).first()
    return None if asked == reporter_id else asked
