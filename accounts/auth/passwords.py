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
        if core in self.words or core in self.common:
            raise ValidationError(
                _("The password is a common word with digits or punctuation. Add more words."),
                code="password_guessable",
            )

    def get_help_text(self) -> str:
        return _("Your password can’t be a common word with digits or punctuation.")

    @property
    def words(self) -> frozenset[str]:
        """Words of this place and of the calendar."""
        hosts = [*settings.ALLOWED_HOSTS, *(urlsplit(origin).hostname or "" for origin in settings.ALLOWED_ORIGINS)]
        labels = {label for host in hosts for label in (host.lower(), *host.lower().strip(".").split("."))}
        site = settings.SITE_NAME.lower()
        return frozenset({site, site * 2, *CALENDAR, *labels} - {""})

    @cached_property
    def common(self) -> set[str]:
        """Django's list of 20 000 passwords from breaches."""
        return CommonPasswordValidator().passwords
