"""Password validators for what guessers try first. They ask nobody: no password leaves this process."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

CALENDAR: Final = (
    *("spring", "summer", "autumn", "fall", "winter"),
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october"),
    *("november", "december", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
)


class RepetitionValidator:
    """Refuses passwords of blanks only, and of one character repeated."""

    def validate(self, password: str, user: Any = None) -> None:
        if len(set(password.strip())) < 2:
            raise ValidationError(_("The password is one character repeated."), code="password_repeated")

    def get_help_text(self) -> str:
        return _("Your password can’t be one character repeated.")


class GuessableWordValidator:
    """Refuses a common word with digits and punctuation around it: the site's name, a season and a year, …"""

    def validate(self, password: str, user: Any = None) -> None:
        core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", password.lower())
        if core in self.common or _letters(core) in self.words:
            raise ValidationError(
                _("The password is a common word with digits or punctuation. Add more words."),
                code="password_guessable",
            )

    def get_help_text(self) -> str:
        return _("Your password can’t be a common word with digits or punctuation.")

    @property
    def words(self) -> frozenset[str]:
        """Words of this place and of the calendar: letters and digits only. Of a host name the whole, its labels, and
        their parts between hyphens.
        """
        hosts = [*settings.ALLOWED_HOSTS, *(urlsplit(origin).hostname or "" for origin in settings.ALLOWED_ORIGINS)]
        names = [settings.SITE_NAME.lower(), settings.SITE_NAME.lower() * 2]
        for host in hosts:
            labels = host.lower().split(".")
            names += [host.lower(), *labels, *(part for label in labels for part in label.split("-"))]
        return frozenset({*CALENDAR, *map(_letters, names)} - {""})

    @cached_property
    def common(self) -> set[str]:
        """Django's list of 20 000 passwords from breaches."""
        return CommonPasswordValidator().passwords


def _letters(text: str) -> str:
    """The text without punctuation and blanks: `acme-corp` and `acmecorp` are one word."""
    return re.sub(r"[\W_]+", "", text)
