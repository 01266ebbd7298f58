"""What an address of a webhook looks like. Whether its network may be reached is checked with each delivery."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from accounts.lib.urls import is_http, split_url


def check_address(text: str) -> str:
    """The address without spaces around it. Raises `ValidationError`."""
    url = text.strip()
    try:
        parts = split_url(url)
    except ValueError:
        parts = None
    if parts is None or not is_http(parts) or any(character.isspace() for character in url):
        raise ValidationError(gettext("Enter an address that begins with https://."))
    if parts.username is not None or parts.password is not None:
        raise ValidationError(gettext("The address must not contain a user name or password."))
    return url
