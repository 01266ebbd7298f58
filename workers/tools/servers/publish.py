"""Stores what a server offers as `KnownTool` rows.

A tool of a server that staff do not trust, whose description or parameters change after it was set up, or that is added
later, is off until somebody has looked at it: a description is read by models, so it can be an instruction to them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

import structlog
from django.db import transaction
from django.utils import timezone

from chat.models import Approval, KnownTool, ServerKind, ToolEffect, ToolServer
from workers.tools.servers.listing import Listed, Listing

MANY_TOOLS: Final = 40  # of a server with more, none is on by default in a conversation

logger = structlog.get_logger(__name__)


def known_names(slug: str) -> dict[str, str]:
    """The names of a server's tools by their upstream names, also of those that are gone."""
    return dict(KnownTool.objects.filter(server=slug).values_list("upstream_name", "name"))


def save_listing(server_id: uuid.UUID, listing: Listing) -> int | None:
    """Stores a listing; how many of its tools wait for somebody to look at them. None: the server is gone."""
    with transaction.atomic():
        server = ToolServer.objects.select_for_update().filter(pk=server_id).first()
        if server is None:
            return None
        first = server.listed_at is None
        now = timezone.now()
        if listing.unchanged:
            server.listed_at, server.checked_at, server.list_error = now, now, ""
            server.save(update_fields=["listed_at", "checked_at", "list_error"])
            return _count_held(server.slug)
        known = {row.upstream_name: row for row in KnownTool.objects.filter(server=server.slug)}
        by_default = len(listing.tools) <= MANY_TOOLS
        for one in listing.tools:
            row = known.pop(one.upstream, None)
            if row is None:
                row = KnownTool(server=server.slug, name=one.name, upstream_name=one.upstream, by_default=by_default)
                if not first and not server.trusted:
                    row.enabled, row.changed_at = False, now
            elif not server.trusted and not one.recipe.get("kind"):
                _hold_if_changed(row, one)
            _write(row, one, server)
            row.seen_at, row.gone_at = now, None
            row.save()
        gone = [row.pk for row in known.values() if row.gone_at is None]
        KnownTool.objects.filter(pk__in=gone).update(gone_at=now)
        server.listed_at = server.checked_at = now
        server.list_error = ""
        server.notes, server.prompts = list(listing.notes), list(listing.prompts)
        server.protocol, server.version, server.etag = listing.protocol[:32], listing.version[:200], listing.etag[:200]
        server.address = server.address or listing.address[:500]
        server.save(
            update_fields=[
                "listed_at", "checked_at", "list_error", "notes", "prompts", "protocol", "version", "etag", "address",
            ]
        )  # fmt: skip
        return _count_held(server.slug)


def _count_held(slug: str) -> int:
    return KnownTool.objects.filter(server=slug, gone_at=None).exclude(changed_at=None).count()


def save_failure(server_id: uuid.UUID, error: str) -> None:
    """Notes why a server's tools could not be listed. Those that are known stay."""
    ToolServer.objects.filter(pk=server_id).update(list_error=error[:300], checked_at=timezone.now())


def _write(row: KnownTool, one: Listed, server: ToolServer) -> None:
    row.title, row.description = one.title, one.description
    row.parameters, row.recipe = dict(one.parameters), dict(one.recipe)
    if not row.decided:
        # What a server says of itself counts only where staff trust it. An OpenAPI document's GET reads by definition.
        reads = one.reads and (server.trusted or server.kind == ServerKind.OPENAPI)
        row.effect = ToolEffect.READS if reads else ToolEffect.WRITES
        row.approval = Approval.NEVER if reads and server.trusted else Approval.ASK
    row.outside = True


def _hold_if_changed(row: KnownTool, one: Listed) -> None:
    """Turns a tool off that has changed, and on again when it is what it was."""
    if row.enabled and row.changed_at is not None:
        row.changed_at, row.earlier = None, None  # staff have turned it on as it is
    before: Mapping[str, Any] = row.earlier or {
        "description": row.description, "parameters": row.parameters, "recipe": row.recipe, "enabled": row.enabled,
    }  # fmt: skip
    if row.changed_at is not None and row.earlier is None:
        return  # it was added later, and nobody has looked at it yet
    same = (before["description"], before["parameters"], before["recipe"]) == (
        one.description, dict(one.parameters), dict(one.recipe),
    )  # fmt: skip
    if same and row.earlier is not None:
        row.enabled, row.changed_at, row.earlier = bool(before["enabled"]), None, None
    elif not same and row.earlier is None:
        row.enabled, row.changed_at, row.earlier = False, timezone.now(), dict(before)
        logger.warning("tool_changed", server=row.server, tool=row.name)
