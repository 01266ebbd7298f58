from django import template

from accounts.auth import adapter

register = template.Library()


@register.simple_tag
def mail_is_configured() -> bool:
    """Whether mail reaches anybody: without EMAIL_HOST none is sent."""
    return adapter.mail_is_configured()
