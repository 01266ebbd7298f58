"""The language of a person: their own choice, else what their browser asked for last."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

from accounts.models import User

LONGEST: Final = 10  # characters of a code


def offered(code: str) -> str:
    """The code if that language is offered, else an empty text."""
    return code if code in dict(settings.LANGUAGES) else ""


def language_of(user: User) -> str:
    """The language in which a user is written to: their own, the last browser's, or the site's."""
    return offered(user.language) or offered(user.browser_language) or str(settings.LANGUAGE_CODE)


def speaking_to(user: User) -> AbstractContextManager[None]:
    """What is translated within is in the user's language."""
    return translation.override(language_of(user))


def speaking_to_address(email: str) -> AbstractContextManager[None]:
    """The same for whoever has an address; the active language stays if nobody with a language has it."""
    fields = ("language", "browser_language")
    user = User.objects.filter(email__iexact=email).only(*fields).first() if len(settings.LANGUAGES) > 1 else None
    known = user is not None and (offered(user.language) or offered(user.browser_language))
    return translation.override(known or translation.get_language())


def browser_language(request: HttpRequest) -> str:
    """What the browser asks for, among the languages that are offered."""
    return str(translation.get_language_from_request(request))
