from django import template

from accounts.features import sign_up_rule

register = template.Library()


@register.simple_tag
def signup_is_open() -> bool:
    """Whether anybody may create an account, or ask for one (the setting SIGN_UP)."""
    return sign_up_rule() != "invitation"


@register.simple_tag
def signup_needs_approval() -> bool:
    """Whether staff approve new accounts."""
    return sign_up_rule() == "approval"
