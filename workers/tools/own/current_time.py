"""The tool `current_time`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import timezone
from msgspec import Meta

from workers.tools.base import ToolContext, ToolError, ToolResult
from workers.tools.own_tool import own_tool


@dataclass(frozen=True, slots=True)
class CurrentTime:
    """The date, the weekday and the time now, in a named time zone."""

    time_zone: Annotated[str, Meta(description="An IANA name such as Europe/Berlin. Empty: UTC.", max_length=64)] = ""

    async def run(self, context: ToolContext) -> ToolResult:
        try:
            zone = ZoneInfo(self.time_zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder
            raise ToolError(
                f"There is no time zone {self.time_zone!r}. Use an IANA name such as Europe/Berlin or Asia/Tokyo."
            ) from None
        now = timezone.now().astimezone(zone)
        return ToolResult(f"{now:%A, %Y-%m-%d %H:%M:%S} {now:%z} ({zone.key})")


TOOL: Final = own_tool(CurrentTime, title="Current time")
