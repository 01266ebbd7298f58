"""The questions that staff have every day, each with the page that answers it."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from chat.dashboard.links import Links
from chat.dashboard.usage_page import PERMISSION as USAGE
from chat.models.messages import READ_TEXT


def questions_for(request: HttpRequest, links: Links) -> list[tuple[str, str]]:
    """(question, address) of those pages that the member of staff may open."""
    may = request.user.has_perm
    first = datetime.now(UTC).date().replace(day=1)
    usage = f"{reverse('admin:usage')}?from={first}&by=group" if may(USAGE) else ""
    found = [
        (gettext("Which group spent the most this month?"), usage),
        (gettext("Is a model slow today?"), reverse("admin:speed")),
        (gettext("Why did an answer fail?"), links.runs(error_code="any", period="24h")),
        (gettext("Who needs a higher quota? Filter by team or plan, then raise quotas"),
         links.list("accounts", "user", is_staff__exact="0") if may("accounts.top_up") else ""),
        (gettext("Which models have no price?"), links.list("chat", "knownmodel", offered="yes", price="none")),
        (gettext("How many people are active, by day and month?"), reverse("admin:people")),
        (gettext("How many people are on each plan?"), f"{reverse('admin:people')}#plans"),
        (gettext("What is in the trash?"), links.list("chat", "conversation", trash="yes")),
        (gettext("Who wrote about this?"),
         reverse("admin:search_texts") if may(READ_TEXT) and may("chat.view_message") else ""),
    ]  # fmt: skip
    return [(text, address) for text, address in found if address]
