"""Learns that a server's lists changed. In the newest protocol a server tells only those who listen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog
from mcp.client.client import Client
from mcp.client.subscriptions import SubscriptionLost
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

LASTED_SECONDS: Final = 5.0  # a stream that ended sooner is not opened again

logger = structlog.get_logger(__name__)


async def listen_for_changes(client: Client, changed: Callable[[], None]) -> None:
    """Calls `changed` whenever the server says so, until the task is cancelled or the server ends the stream.

    Returns at once where there is nothing to listen to. Raises nothing: a call does not depend on it.
    """
    capabilities = client.server_capabilities
    tools = bool(capabilities.tools and capabilities.tools.list_changed)
    prompts = bool(capabilities.prompts and capabilities.prompts.list_changed)
    if client.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS or not (tools or prompts):
        return
    while True:
        began = time.monotonic()
        try:
            async with client.listen(tools_list_changed=tools, prompts_list_changed=prompts) as events:
                async for _ in events:
                    changed()
        except SubscriptionLost:
            if time.monotonic() - began >= LASTED_SECONDS:
                continue
        except Exception as error:  # noqa: BLE001 -- whatever the package lets through
            logger.info("tool_server_not_listened_to", error=type(error).__name__)
        return
