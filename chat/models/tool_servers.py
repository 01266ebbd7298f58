"""Servers that offer tools (MCP, OpenAPI), and people's connections to them.

Web processes read and change the rows; only workers connect to the servers (`workers.tools.servers`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib import encryption
from accounts.lib.formatting import grouped
from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from accounts.lib.urls import is_http, split_url

MAX_DOCUMENT_CHARS: Final = 2 * 1024 * 1024  # of an OpenAPI document
_SECRET: Final = re.compile("key|token|secret|signature|password", re.IGNORECASE)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_RESERVED_HEADERS: Final = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})


class ServerKind(models.TextChoices):
    MCP_HTTP = "mcp_http", _("MCP over HTTP")
    MCP_SSE = "mcp_sse", _("MCP over HTTP with SSE (older)")
    OPENAPI = "openapi", _("HTTP API with an OpenAPI document")
    MCP_STDIO = "mcp_stdio", _("MCP in a child process (from the settings)")


class ServerAuth(models.TextChoices):
    NONE = "none", _("None")
    HEADERS = "headers", _("Headers, the same for everyone")
    OAUTH = "oauth", _("Each person logs in (OAuth)")


class ConnectionState(models.TextChoices):
    """connecting -> connected -> expired (-> connecting)."""

    CONNECTING = "connecting", _("Not finished")
    CONNECTED = "connected", _("Connected")
    EXPIRED = "expired", _("Connect again")


class ToolServer(models.Model):
    """A server that offers tools. Its headers and its client secret are stored encrypted; only workers decrypt them.

    `owner` is the person whose own server it is; None: it is staff's. `limited` and `groups` are for staff's only.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.CharField(
        _("short name"), max_length=64, unique=True,
        validators=[RegexValidator("^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$", _("Use only a-z, 0-9 and hyphens."))],
        help_text=_("Distinguishes tools that have the same name on several servers. It cannot be changed later."),
    )  # fmt: skip
    title = models.CharField(_("name"), max_length=80)
    kind = models.CharField(max_length=9, choices=ServerKind.choices, default=ServerKind.MCP_HTTP)
    address = models.CharField(
        max_length=500, blank=True,
        help_text=_("For example https://example.com/mcp. For an HTTP API: the base address; empty: the one in its "
        "document."),
    )  # fmt: skip
    document_address = models.CharField(
        max_length=500, blank=True, help_text=_("Where the OpenAPI document (JSON or YAML) is fetched from.")
    )
    document = models.TextField(blank=True, help_text=_("Alternatively, the document itself."))
    auth = models.CharField(_("log-in"), max_length=7, choices=ServerAuth.choices, default=ServerAuth.NONE)
    encrypted_headers = models.TextField(blank=True, default="", editable=False)
    header_names = models.JSONField(default=list, editable=False)
    client_id = models.CharField(
        max_length=500, blank=True, help_text=_("For OAuth. Empty: Antiphon registers itself with the server.")
    )
    encrypted_client_secret = models.TextField(blank=True, default="", editable=False)
    scopes = models.CharField(max_length=500, blank=True, help_text=_("Empty: the scopes that the server names."))
    limited = models.BooleanField(
        _("only for groups"), default=False, help_text=_("Only members of the groups below can use it.")
    )
    groups: models.ManyToManyField[Group, Any] = models.ManyToManyField(Group, blank=True, related_name="+")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="tool_servers",
        editable=False,
    )  # fmt: skip
    enabled = models.BooleanField(default=True)
    trusted = models.BooleanField(
        default=False,
        help_text=_(
            "Accept what the server says about its tools: which ones only read, and changes to their descriptions. "
            "Otherwise every MCP tool is treated as writing, and a changed tool is off until staff review it."
        ),
    )
    timeout = models.FloatField(
        _("call timeout"),
        default=60.0,
        validators=(MinValueValidator(1), MaxValueValidator(3600)),
        help_text=_("In seconds."),
    )
    # What workers found out.
    protocol = models.CharField(max_length=32, blank=True, editable=False, help_text=_("The negotiated version."))
    version = models.CharField(
        max_length=200, blank=True, editable=False, help_text=_("Name and version reported by the server.")
    )
    etag = models.CharField(max_length=200, blank=True, editable=False)
    prompts = models.JSONField(default=list, editable=False, help_text=_("Its prompts: name, title, description."))
    notes = models.JSONField(
        default=list, editable=False, help_text=_("Notes for staff, for example about skipped tools.")
    )
    listed_at = models.DateTimeField(null=True, editable=False, help_text=_("When its tools were last listed."))
    list_error = models.CharField(max_length=300, blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False, help_text=_("When listing them was last attempted."))
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    test_passed = models.BooleanField(null=True, editable=False)
    test_said = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        permissions = (("test_toolserver", gettext_noop("Can test a tool server")),)
        ordering: ClassVar = ("title", "id")
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(kind__in=ServerKind.values), name="tool_server_kind_known"),
            models.CheckConstraint(condition=Q(auth__in=ServerAuth.values), name="tool_server_auth_known"),
            models.CheckConstraint(
                condition=~Q(kind="mcp_stdio") | Q(owner=None), name="tool_server_stdio_from_settings"
            ),
        )

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        super().clean()
        check_server(self)

    def set_headers(self, headers: Mapping[str, str]) -> None:
        """Replaces the headers of every request."""
        self.encrypted_headers = encryption.encrypt(json.dumps(dict(headers))) if headers else ""
        self.header_names = sorted(headers)

    def read_headers(self) -> dict[str, str]:
        """The headers of every request. Raises `encryption.UnreadableError`. Only for who connects to the server."""
        stored: dict[str, str] = json.loads(
            encryption.decrypt(self.encrypted_headers) if self.encrypted_headers else "{}"
        )
        return stored

    def set_client_secret(self, secret: str) -> None:
        self.encrypted_client_secret = encryption.encrypt(secret) if secret else ""

    def read_client_secret(self) -> str:
        """Empty: there is none. Raises `encryption.UnreadableError`."""
        return encryption.decrypt(self.encrypted_client_secret) if self.encrypted_client_secret else ""


class ToolConnection(models.Model):
    """A person's log-in at a tool server. Everything that is secret is stored encrypted, as one JSON object each.

    `tokens`: access_token, refresh_token, token_type. `client`: how the server registered us. `pending`: what a log-in
    that has begun needs at its end. `discovered`: addresses of the authorization server, which are no secrets.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tool_connections")
    server = models.ForeignKey(ToolServer, on_delete=models.CASCADE, related_name="connections")
    state = models.CharField(max_length=10, choices=ConnectionState.choices, default=ConnectionState.CONNECTING)
    encrypted_tokens = models.TextField(blank=True, default="", editable=False)
    encrypted_client = models.TextField(blank=True, default="", editable=False)
    encrypted_pending = models.TextField(blank=True, default="", editable=False)
    discovered = models.JSONField(default=dict, editable=False)
    scopes = models.CharField(max_length=1000, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text=_("Expiry of the access token. Empty: unknown."))
    version = models.PositiveIntegerField(default=0, editable=False, help_text=_("Incremented with every new token."))
    error = models.CharField(max_length=300, blank=True)
    connected_at = models.DateTimeField(null=True, blank=True)
    refreshed_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ("view", "delete")
        verbose_name = _("log-in at a tool server")
        verbose_name_plural = _("log-ins at tool servers")
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["user", "server"], name="tool_connection_once"),
            models.CheckConstraint(condition=Q(state__in=ConnectionState.values), name="tool_connection_state_known"),
        )

    def __str__(self) -> str:
        return gettext("%(user)s at %(server)s") % {"user": self.user, "server": self.server}

    def write(self, field: str, value: Mapping[str, Any] | None) -> None:
        """Sets `tokens`, `client` or `pending`; None: to nothing. Does not save."""
        setattr(self, f"encrypted_{field}", encryption.encrypt(json.dumps(dict(value))) if value else "")

    def read(self, field: str) -> dict[str, Any]:
        """`tokens`, `client` or `pending`; empty: none. Raises `encryption.UnreadableError`."""
        stored: str = getattr(self, f"encrypted_{field}")
        found: dict[str, Any] = json.loads(encryption.decrypt(stored)) if stored else {}
        return found


def check_server(server: ToolServer) -> None:
    """Checks what goes together, and tidies the addresses. Raises `ValidationError`."""
    for name in ("address", "document_address"):
        if getattr(server, name):
            try:
                setattr(server, name, check_server_address(getattr(server, name)))
            except ValueError as error:
                raise ValidationError({name: str(error)}) from None
    if server.kind in (ServerKind.MCP_HTTP, ServerKind.MCP_SSE) and not server.address:
        raise ValidationError({"address": gettext("Enter the address of the server.")})
    if server.kind == ServerKind.OPENAPI and not (server.document or server.document_address):
        raise ValidationError({"document_address": gettext("Enter where the document is, or paste it below.")})
    if len(server.document) > MAX_DOCUMENT_CHARS:
        raise ValidationError(
            {"document": gettext("A document has at most %(most)s characters.") % {"most": grouped(MAX_DOCUMENT_CHARS)}}
        )
    if server.kind == ServerKind.OPENAPI and server.auth == ServerAuth.OAUTH:
        raise ValidationError({"auth": gettext("An HTTP API cannot be logged in to by OAuth. Use headers.")})


def check_server_address(url: str) -> str:
    """The address without blanks around it. Raises `ValueError` with a sentence, which does not repeat the value."""
    try:
        parts = split_url(url.strip())
    except ValueError:
        raise ValueError(gettext("Enter an address such as https://example.com/mcp.")) from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(gettext("The address must begin with http:// or https://."))
    if not is_http(parts) or any(character.isspace() for character in url.strip()):
        raise ValueError(gettext("Enter an address such as https://example.com/mcp."))
    if parts.username is not None or parts.password is not None:
        raise ValueError(gettext("The address must not contain a user name or password. Use headers."))
    if parts.fragment:
        raise ValueError(gettext("The address must not contain #."))
    if any(_SECRET.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError(gettext("The address must not contain a key or token. Use headers."))
    return parts.geturl()


def check_headers(text: str) -> dict[str, str]:
    """The headers of a JSON object. Raises `ValueError` with a sentence, which does not repeat a value."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(gettext('Enter a JSON object such as {"Authorization": "Bearer …"}.')) from None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ValueError(gettext("Enter a JSON object of names and texts."))
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            raise ValueError(gettext("“%(name)s” cannot be the name of a header here.") % {"name": name[:40]})
        if not (value.isascii() and value.isprintable()) or len(value) > 8000:
            raise ValueError(
                gettext("The value of %(name)s must be one line of at most 8,000 ASCII characters.") % {"name": name}
            )
    return given
