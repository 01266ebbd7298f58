"""Template tag: whether speech recognition is enabled."""

from __future__ import annotations

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def voice_is_on() -> bool:
    return bool(settings.ASR_BACKENDS)
