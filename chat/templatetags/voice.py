"""Template tags: whether speech recognition is enabled, and the voices of the server."""

from __future__ import annotations

from django import template
from django.conf import settings

from accounts import features
from chat.views.page_files import stylesheet_urls
from chat.voice.languages import language_name, offered, recognised

register = template.Library()


@register.simple_tag
def voice_is_on() -> bool:
    return features.voice_is_on()


@register.simple_tag
def spoken_languages() -> list[tuple[str, str]]:
    """Codes and names of the languages that people can choose to speak."""
    return sorted(((code, language_name(code)) for code in offered()), key=lambda one: one[1])


@register.simple_tag
def usual_language() -> str:
    """The name of the language that is expected where none is chosen."""
    return language_name(settings.ASR_LANGUAGE)


@register.simple_tag
def recognised_languages() -> dict[str, str]:
    """`codes` and `names` of the only languages that are understood; both are empty where any may be tried."""
    codes = recognised()
    return {"codes": " ".join(codes), "names": ", ".join(map(language_name, codes))}


@register.simple_tag
def server_voices() -> list[str]:
    """The voices in which the server reads aloud; none where it does not."""
    return list(settings.SPEECH_VOICES) if features.speech_is_on() else []


@register.simple_tag
def call_styles() -> str:
    """The addresses of the style sheets of a call."""
    return " ".join(stylesheet_urls("call"))
