"""What is stored of a tool server, as the client needs it. Reading it asks no server."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from accounts.lib.encryption import UnreadableError
from accounts.lib.texts import gettext_noop
from chat.models import KnownTool, ServerAuth, ServerKind, ToolServer

SHORTEST_SECRET: Final = 6  # characters; shorter ones would be found in any text


@dataclass(frozen=True, slots=True)
class StoredServer:
    """A server, with its secrets decrypted. `trouble` says why `%(server)s` cannot be used; empty: it can."""

    id: uuid.UUID
    slug: str
    title: str
    kind: str
    address: str
    auth: str
    trusted: bool
    timeout: float
    owner_id: uuid.UUID | None
    protocol: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdio: Mapping[str, Any] = field(default_factory=dict, repr=False)
    trouble: str = ""

    def mask(self, text: str, token: str = "") -> str:
        """A text without the secrets that this server is sent, which some servers repeat. `token`: a person's own."""
        secrets = {one for value in self.headers.values() for one in (value, value.rpartition(" ")[2])}
        for secret in sorted({*secrets, token}, key=len, reverse=True):
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "…")
        return text

    @property
    def allow_private(self) -> bool:
        """Whether it may be in a private network: staff's may, a person's own may not."""
        return self.owner_id is None

    @property
    def personal(self) -> bool:
        """Whether each person has a log-in of their own."""
        return self.auth == ServerAuth.OAUTH


@dataclass(frozen=True, slots=True)
class StoredTool:
    """How a tool of a server is called. `name` is as models call it, `recipe` what its kind of server needs."""

    home: StoredServer
    name: str
    upstream_name: str
    effect: str
    recipe: Mapping[str, Any]


def read_server(row: ToolServer) -> StoredServer:
    """What is stored of a server. Reads no other row."""
    headers: Mapping[str, str] = {}
    trouble = ""
    if row.auth == ServerAuth.HEADERS:
        try:
            headers = row.read_headers()
        except UnreadableError:
            trouble = gettext_noop("The headers of %(server)s cannot be decrypted. Please tell an administrator.")
    stdio = settings.TOOL_SERVERS_STDIO.get(row.slug, {}) if row.kind == ServerKind.MCP_STDIO else {}
    if row.kind == ServerKind.MCP_STDIO and not stdio:
        trouble = gettext_noop("%(server)s is no longer set up.")
    return StoredServer(
        row.id, row.slug, row.title, row.kind, row.address, row.auth, row.trusted, row.timeout, row.owner_id,
        row.protocol, headers, stdio, trouble,
    )  # fmt: skip


def find_server(server_id: uuid.UUID) -> StoredServer | None:
    """A server by its id; None: there is none."""
    row = ToolServer.objects.filter(pk=server_id).first()
    return None if row is None else read_server(row)


def usable_tools(servers: Mapping[str, Any]) -> list[KnownTool]:
    """The tools, by servers' slugs, that their servers list and staff have not turned off."""
    rows = KnownTool.objects.filter(server__in=list(servers), enabled=True, gone_at=None)
    return list(rows.order_by("server", "name"))
