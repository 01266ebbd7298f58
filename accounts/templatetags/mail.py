from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def mail_is_configured() -> bool:
    """Whether mail reaches anybody: without EMAIL_HOST it goes to the terminal."""
    return bool(settings.EMAIL_HOST) or not settings.EMAIL_BACKEND.endswith("console.EmailBackend")
