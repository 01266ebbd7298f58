"""Template tag: the sections of the settings, of which one is open."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import Context
from django.urls import reverse

from accounts.settings_sections import section_of, settings_sections

register = template.Library()


@register.inclusion_tag("account/settings_nav.html", takes_context=True)
def settings_nav(context: Context) -> dict[str, Any]:
    """Links to the sections, and from a page below a section back to it."""
    match = context["request"].resolver_match
    view = match.view_name if match else ""
    open_section = section_of(view)
    sections = [
        {"title": one.title, "url": reverse(one.view), "open": one is open_section} for one in settings_sections()
    ]
    above = open_section if open_section is not None and open_section.view != view else None
    return {"sections": sections, "above": above and {"title": above.title, "url": reverse(above.view)}}
