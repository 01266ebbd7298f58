"""My connections: the tool servers that a user may use, their log-ins there, and servers of their own."""

from __future__ import annotations

import hmac
import secrets
import uuid
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.db import connection as database
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit
from accounts.auth.requests import user_of
from accounts.lib.encryption import UnreadableError
from accounts.lib.urls import split_url
from chat.catalog.tool_servers import accept_tools, forget_log_ins, origin_of, servers_of
from chat.jobs import tool_servers as ask
from chat.models import KnownTool, ServerAuth, ToolConnection, ToolServer
from chat.views.connection_forms import OwnServerForm
from chat.views.decorators import for_members

STATES: Final = "tool_log_ins"  # of this session: the state of a log-in that has begun, and its connection
MOST_STATES: Final = 5


@require_safe
@for_members
def show_connections(request: HttpRequest) -> HttpResponse:
    """The servers that the user may use, with their log-ins there and what they offer."""
    user = user_of(request)
    servers = list(servers_of(user).order_by("title", "pk"))
    log_ins = {row.server_id: row for row in ToolConnection.objects.filter(user=user)}
    tools: dict[str, list[KnownTool]] = {}
    rows = KnownTool.objects.filter(server__in=[one.slug for one in servers], gone_at=None).order_by("title")
    for row in rows.defer("parameters", "recipe"):
        tools.setdefault(row.server, []).append(row)
    shown = [
        {
            "server": one,
            "own": one.owner_id is not None,
            "log_in": log_ins.get(one.pk),
            "tools": [row for row in tools.get(one.slug, []) if row.enabled],
            "listing": _is_listing(one, log_ins.get(one.pk)),
            "changed": [row for row in tools.get(one.slug, []) if row.changed_at is not None],
        }
        for one in servers
    ]
    context = {"rows": shown, "may_add": settings.TOOL_SERVERS_OF_USERS}
    return render(request, "chat/connections.html", context)


def _is_listing(server: ToolServer, log_in: ToolConnection | None) -> bool:
    """Whether a worker lists the server's tools because somebody has just logged in there."""
    if log_in is None or log_in.connected_at is None:
        return False
    if server.list_error and server.checked_at is not None and server.checked_at >= log_in.connected_at:
        return False  # an error from before only says that nobody was connected
    return server.listed_at is None or server.listed_at < log_in.connected_at


# --- logging in -------------------------------------------------------------------------------------------------------


@require_POST
@for_members
def connect(request: HttpRequest, server_id: uuid.UUID) -> HttpResponse:
    """Begins a log-in: a page that leads to the server's. The browser follows no redirect of a form to another site
    (`form-action`), and so the person reads where they go.
    """
    server = _find_usable(request, server_id)
    if server.auth != ServerAuth.OAUTH:
        raise Http404
    log_in, _created = ToolConnection.objects.get_or_create(user=user_of(request), server=server)
    audit.record(request, "connect", server)
    state = secrets.token_urlsafe(32)
    begun = dict(list(request.session.get(STATES, {}).items())[-MOST_STATES + 1 :])
    request.session[STATES] = {**begun, state: str(log_in.pk)}
    callback = request.build_absolute_uri(reverse("chat:connection_callback"))
    release_database()
    reply = ask.request_login(log_in.pk, state, callback, log_in.user_id)
    if not reply.passed:
        messages.error(request, reply.sentence)
        return redirect("chat:connections")
    host = split_url(reply.url).hostname or ""
    return render(request, "chat/connection_go.html", {"server": server, "url": reply.url, "host": host})


@require_safe
@for_members
def come_back(request: HttpRequest) -> HttpResponse:
    """Ends a log-in that this session began: a worker trades the code for tokens. A state works once."""
    begun = dict(request.session.get(STATES, {}))
    given = request.GET.get("state", "")
    state = next((one for one in begun if hmac.compare_digest(one.encode(), given.encode())), None)
    log_in = None
    if state is not None:
        connection_id = begun.pop(state)
        request.session[STATES] = begun
        log_in = ToolConnection.objects.filter(pk=connection_id, user=user_of(request)).select_related("server").first()
    if log_in is None:
        messages.error(request, _("This log-in was not begun in this browser, or has ended. Connect again."))
        return redirect("chat:connections")
    if request.GET.get("error") or not request.GET.get("code"):
        messages.error(request, _("%(server)s did not log you in.") % {"server": log_in.server})
        return redirect("chat:connections")
    try:
        log_in.write("pending", {
            **log_in.read("pending"), "code": request.GET["code"][:4000], "issuer": request.GET.get("iss"),
        })  # fmt: skip
    except UnreadableError:
        log_in.write("pending", None)
    log_in.save(update_fields=["encrypted_pending"])
    release_database()
    reply = ask.request_finish(log_in.pk, log_in.user_id)
    (messages.success if reply.passed else messages.error)(request, reply.sentence)
    return redirect("chat:connections")


@require_POST
@for_members
def disconnect(request: HttpRequest, server_id: uuid.UUID) -> HttpResponse:
    """Revokes the tokens at the server where it can, and deletes them in any case."""
    log_in = get_object_or_404(ToolConnection.objects.select_related("server"), user=user_of(request), server=server_id)
    audit.record(request, "disconnect", log_in.server)
    release_database()
    reply = ask.request_revoke(log_in.pk, log_in.user_id)
    gone = ToolConnection.objects.filter(pk=log_in.pk).delete()[0]
    if reply.passed:
        messages.success(request, reply.sentence)
    elif gone:
        said = _("You are no longer connected to %(server)s. Its tokens were deleted here, but not revoked there.")
        messages.warning(request, said % {"server": log_in.server})
    return redirect("chat:connections")


# --- servers of one's own ---------------------------------------------------------------------------------------------


@sensitive_post_parameters("token")
@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def add_server(request: HttpRequest) -> HttpResponse:
    """Adds a server of the user's own, where the site allows it."""
    if not settings.TOOL_SERVERS_OF_USERS:
        raise Http404
    return _edit(request, ToolServer(owner=user_of(request)))


@sensitive_post_parameters("token")
@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def edit_server(request: HttpRequest, server_id: uuid.UUID) -> HttpResponse:
    """Changes a server of the user's own."""
    return _edit(request, _find_own(request, server_id))


def _edit(request: HttpRequest, server: ToolServer) -> HttpResponse:
    new = server._state.adding  # noqa: SLF001  # Django documents it
    before = origin_of(server.address)
    form = OwnServerForm(request.POST if request.method == "POST" else None, instance=server)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            if before and origin_of(server.address) != before:
                forget_log_ins(server)
            audit.record(request, "add" if new else "change", server)
        if server.auth == ServerAuth.OAUTH:
            messages.success(request, _("“%(name)s” has been saved. Now connect to it.") % {"name": server})
        else:
            _list(request, server)
        return redirect("chat:connections")
    return render(request, "chat/connection_form.html", {"form": form, "new": new})


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def delete_server(request: HttpRequest, server_id: uuid.UUID) -> HttpResponse:
    """Asks (GET), then deletes a server of the user's own (POST)."""
    server = _find_own(request, server_id)
    if request.method == "POST":
        audit.record(request, "delete", server)
        server.delete()
        messages.success(request, _("“%(name)s” has been deleted.") % {"name": server})
        return redirect("chat:connections")
    question = _("Models can no longer call its tools for you. Its log-in is deleted.")
    return render(
        request, "chat/library/delete.html", {"row": server, "question": question, "back": "chat:connections"}
    )


@require_POST
@for_members
def list_tools(request: HttpRequest, server_id: uuid.UUID) -> HttpResponse:
    """Has a worker list the tools of a server of the user's own."""
    _list(request, _find_own(request, server_id))
    return redirect("chat:connections")


@require_POST
@for_members
def accept_changes(request: HttpRequest, server_id: uuid.UUID) -> HttpResponse:
    """Turns on the tools that a server of the user's own changed or added."""
    server = _find_own(request, server_id)
    audit.record(request, "accept_changes", server)
    accept_tools(KnownTool.objects.filter(server=server.slug, gone_at=None))
    messages.success(request, _("The tools of “%(name)s” are on as they are now.") % {"name": server})
    return redirect("chat:connections")


def _list(request: HttpRequest, server: ToolServer) -> None:
    release_database()
    reply = ask.request_test(server.pk, user_of(request).pk)
    (messages.success if reply.passed else messages.error)(request, reply.sentence)


def _find_usable(request: HttpRequest, server_id: uuid.UUID) -> ToolServer:
    found: ToolServer = get_object_or_404(servers_of(user_of(request)), pk=server_id)
    return found


def _find_own(request: HttpRequest, server_id: uuid.UUID) -> ToolServer:
    return get_object_or_404(ToolServer, pk=server_id, owner=user_of(request))


def release_database() -> Any:
    """The database connection is not needed while the page waits for a worker."""
    if not database.in_atomic_block:
        database.close()
