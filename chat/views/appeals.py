"""What a form shows of a text that moderation refused."""

from __future__ import annotations

import uuid

from django.core.exceptions import ValidationError
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from chat.models.moderation import CaseTarget
from chat.moderation.screening import screen_field
from chat.protocol.errors import Moderated


def cases_url() -> str:
    """The page of a user's own cases."""
    try:
        return reverse("chat:cases")
    except NoReverseMatch:
        return "/cases/"


def refusal_of(error: Moderated) -> ValidationError:
    """The reason, with a link to where the user can appeal."""
    return ValidationError(format_html('{} <a href="{}">{}</a>', error.message, cases_url(), _("See your cases")))


def check_person_name(user_id: uuid.UUID, name: str) -> str:
    """The name of a user as it may be stored. Raises `ValidationError`."""
    try:
        return screen_field(name, user_id, CaseTarget.NAME, user_id, longest=120)
    except Moderated as error:
        raise refusal_of(error) from None
