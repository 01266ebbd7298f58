"""The page on which staff search what everybody wrote. Each search is in the audit log, with the words and the people
whose conversations it showed.
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts import audit
from accounts.lib.db import QueryTimeoutError
from accounts.models import User
from chat.models import Member, Message
from chat.models.messages import READ_TEXT
from chat.search.everywhere import FoundEverywhere, TooManyError, search_everywhere

PERMISSIONS: Final = (READ_TEXT, "chat.view_message")
TOO_SLOW: Final = _("The search took too long. Search for rarer words, or in the conversations of one person.")
TOO_MANY: Final = _("Too many people write here to search all of them at once. Enter an email address.")


@require_safe
def search_texts(request: HttpRequest) -> HttpResponseBase:
    """Query: `q`, the words; `person`, an email address or an id whose conversations are searched."""
    if not request.user.has_perms(PERMISSIONS):
        raise PermissionDenied
    words, person = request.GET.get("q", "").strip()[:200], request.GET.get("person", "").strip()[:254]
    context: dict[str, Any] = {
        **admin.site.each_context(request), "title": gettext("Search in messages"), "words": words, "person": person,
    }  # fmt: skip
    if words:
        user = _find_user(person) if person else None
        if person and user is None:
            context["wrong"] = gettext("There is no account with this email address.")
        else:
            context |= {"person": user.email if user else "", **_search(request, words, user)}
    return TemplateResponse(request, "admin/chat/text_search.html", context)


def _search(request: HttpRequest, words: str, user: User | None) -> dict[str, Any]:
    """What the page shows, after the entry in the audit log."""
    try:
        found = search_everywhere(words, user.pk if user else None)
    except QueryTimeoutError:
        found, wrong = FoundEverywhere(), str(TOO_SLOW)
    except TooManyError:
        found, wrong = FoundEverywhere(), str(TOO_MANY)
    else:
        wrong = ""
    conversations = {one.conversation_id for one in found.messages}
    members = Member.objects.filter(conversation__in=conversations).order_by("user_id")
    people = [user.pk] if user else list(members.values_list("user_id", flat=True).distinct())
    said = f"{words} ({len(found.messages)} found)"
    audit.record(request, "search_text", Message, details=said, subjects=people)
    return {"found": found, "wrong": wrong, "searched": True}


def _find_user(text: str) -> User | None:
    if "@" in text:
        return User.objects.filter(email=text.lower()).first()
    try:
        return User.objects.filter(pk=text).first()
    except (ValueError, ValidationError):
        return None


admin.site.add_page("search-texts/", search_texts, "search_texts")  # type: ignore[attr-defined]  # it is a StaffSite
