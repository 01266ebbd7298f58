"""Template tags: whether speech recognition is enabled, and the voices of the server."""

from __future__ import annotations

from django import template
from django.conf import settings

from chat.views.page_files import stylesheet_urls

register = template.Library()


@register.simple_tag
def voice_is_on() -> bool:
    return bool(settings.ASR_BACKENDS)


@register.simple_tag
def server_voices() -> list[str]:
    """The voices in which the server reads aloud; none where it does not."""
    return list(settings.SPEECH_VOICES) if settings.SPEECH_BACKENDS else []


@register.simple_tag
def call_styles() -> str:
    """The addresses of the style sheets of a call."""
    return " ".join(stylesheet_urls("call"))
