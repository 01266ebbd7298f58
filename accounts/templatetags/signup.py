from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def signup_is_open() -> bool:
    """Whether anybody may create an account, or ask for one (the setting SIGN_UP)."""
    return settings.SIGN_UP != "invitation"


@register.simple_tag
def signup_needs_approval() -> bool:
    """Whether staff approve new accounts."""
    return settings.SIGN_UP == "approval"
