from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def signup_is_open() -> bool:
    """Whether anybody may make an account (the setting SIGNUP_OPEN)."""
    return bool(settings.SIGNUP_OPEN)
