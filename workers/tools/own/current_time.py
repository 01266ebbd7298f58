"""The tool `current_time`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from django.utils import timezone
from msgspec import Meta

from accounts.lib.db import in_db
from accounts.models import User
from workers.tools.base import ToolContext, ToolError, ToolResult
from workers.tools.own_tool import own_tool


@dataclass(frozen=True, slots=True)
class CurrentTime:
    """The date, the weekday and the time now, where the person is or in another time zone."""

    time_zone: Annotated[
        str, Meta(description="An IANA name such as Europe/Berlin. Empty: the person's own.", max_length=64)
    ] = ""

    async def run(self, context: ToolContext) -> ToolResult:
        zone = find_zone(self.time_zone) if self.time_zone else await in_db(zone_of_user, context)
        now = timezone.now().astimezone(zone)
        return ToolResult(f"{now:%A, %Y-%m-%d %H:%M:%S} {now:%z} ({zone.key})")


def find_zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises `ToolError`."""
    try:
        return ZoneInfo(name.strip())
    except (ValueError, OSError, KeyError):  # OSError: the name of a folder; KeyError: there is none of that name
        said = f"There is no time zone {name!r}. Use an IANA name such as Europe/Berlin or Asia/Tokyo."
        raise ToolError(said) from None


def zone_of_user(context: ToolContext) -> ZoneInfo:
    """The time zone of the browser that the person used last; UTC where none is known."""
    if context.user_id is None:
        return ZoneInfo("UTC")
    found = User.objects.filter(pk=context.user_id).values_list("time_zone", flat=True).first()
    try:
        return find_zone(found or "UTC")
    except ToolError:
        return ZoneInfo("UTC")


TOOL: Final = own_tool(CurrentTime, title="Current time")
