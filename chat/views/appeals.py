"""What pages say about texts that moderation changed or refused, and where one appeals."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from chat.models.moderation import CaseTarget
from chat.moderation.cases import NOTICES
from chat.moderation.screening import screen_field
from chat.protocol.errors import Moderated
from chat.turns.releasing import REFUSED, WITHDRAWN


def cases_url() -> str:
    """The page of a user's own cases."""
    try:
        return reverse("chat:cases")
    except NoReverseMatch:
        return "/cases/"


def moderation_words() -> dict[str, tuple[str, str]]:
    """By action, what the author of a message and what other members read below it."""
    return {
        "mask": (_("Parts of this message were replaced."),) * 2,
        "hold": (_("Waiting for a reviewer."), _("A message is waiting for a reviewer.")),
        "block": (_("This message was refused."), _("A message was refused.")),
        "withdrawn": (_("This message was withdrawn."), _("A message was withdrawn.")),
    }


# Reasons that say no more than the words do.
USUAL: Final = (*NOTICES.values(), REFUSED, WITHDRAWN)


def describe_moderation(message: dict[str, Any], reader_id: str) -> str:
    """What a reader is told about a message that moderation changed. Must match js/conversation/moderation.js."""
    done = message.get("moderation")
    if not done:
        return ""
    own = (message["author"] or {}).get("id") == reader_id
    authors, others = moderation_words().get(done["action"], ("", ""))
    reason = f" {_(done['reason'])}" if own and done["reason"] not in USUAL else ""
    return f"{authors if own or message['role'] == 'assistant' else others}{reason}"


def refusal_of(error: Moderated) -> ValidationError:
    """The reason, with a link to where the user can appeal."""
    return ValidationError(format_html('{} <a href="{}">{}</a>', error.message, cases_url(), _("See your cases")))


def check_person_name(user_id: uuid.UUID, name: str) -> str:
    """The name of a user as it may be stored. Raises `ValidationError`."""
    try:
        return screen_field(name, user_id, CaseTarget.NAME, user_id, longest=120)
    except Moderated as error:
        raise refusal_of(error) from None
