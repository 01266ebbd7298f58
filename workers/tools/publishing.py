"""Writes which tools of our own this version has, for pages and staff (`KnownTool`)."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from chat.catalog.tools import SEARCH_WEB
from chat.models import KnownTool
from workers.models.search import search_is_set_up
from workers.tools.own import OWN_TOOLS


def publish_own_tools() -> None:
    """Writes a row for each tool of our own, and marks those that are gone. What staff decided about one is kept.

    `search_web` exists while a search provider is set up. A worker calls this at its start and every minute.
    """
    tools = [tool for tool in OWN_TOOLS if tool.name != SEARCH_WEB or search_is_set_up()]
    now = timezone.now()
    with transaction.atomic():
        for tool in tools:
            KnownTool.objects.update_or_create(
                server="",
                name=tool.name,
                defaults={
                    "title": tool.title,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    "effect": tool.effect,
                    "approval": tool.approval,
                    "outside": tool.outside,
                    "seen_at": now,
                    "gone_at": None,
                },
            )
        gone = KnownTool.objects.filter(server="", gone_at=None).exclude(name__in=[tool.name for tool in tools])
        gone.update(gone_at=now)
