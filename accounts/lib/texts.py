"""Marks sentences for translation where they are written as constants."""

from __future__ import annotations


def gettext_noop(text: str) -> str:
    """The text itself, found by `manage.py translations`. Django's function of this name needs settings at import."""
    return text
