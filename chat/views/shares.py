"""The read-only page of a share link, and the commands by which members create and revoke links.

Whoever reads needs no account where the link allows it, and gets no cookie. Whatever is wrong with a token, the answer
is the same 404.
"""

from __future__ import annotations

import functools
import math
import uuid
from collections.abc import Callable
from typing import Any, Final

import structlog
from csp.constants import NONCE, NONE, SELF
from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.auth.adapter import client_ip, site_url
from accounts.auth.requests import user_of
from accounts.features import share_rule
from accounts.lib import rate_limit
from accounts.lib.outage import OUTAGE
from accounts.lib.texts import gettext_noop
from chat.conversations.membership import member_of
from chat.models import ShareAudience, ShareKind, ShareLink
from chat.protocol.errors import ChatError, Invalid, NotFound, Unavailable
from chat.shares import links
from chat.shares.access import may_read, try_password
from chat.shares.copying import copy_shared
from chat.shares.reading import read_shared
from chat.views.decorators import command, for_members
from chat.views.offline import BLANK, BLANK_SOURCES, BLANK_STEPS

PRIVATE: Final = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
POLICY: Final = {
    "default-src": [NONE],
    "script-src": [SELF, NONCE],
    "style-src": [SELF, NONCE],  # the colours of the site
    "font-src": [SELF],
    "img-src": [SELF, "data:", "blob:"],
    "frame-src": [SELF],  # diagrams
    "connect-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],  # no report-uri: a report names the page, and so the link's secret
}
# What Django raises while it reads a form that is none.
MALFORMED: Final = (BadRequest, SuspiciousOperation, MultiPartParserError, UnreadablePostError)
WRONG: Final = gettext_noop("This password is not right.")

logger = structlog.get_logger(__name__)
View = Callable[..., HttpResponseBase]


def for_readers(view: View) -> View:
    """A page of a share: its headers, its limit by address, and the answers to errors, none of which logs the token."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase
        try:
            response = _limited(request) or view(request, **kwargs)
        except NotFound:
            response = render(request, "shares/gone.html", status=404)
        except MALFORMED:  # Django would log the path with it
            response = render(request, "400.html", status=400)
        except (Unavailable, *OUTAGE) as error:
            logger.warning("share_unavailable", error=type(error).__name__)
            response = render(request, "shares/unavailable.html", status=503)
            response["Retry-After"] = "10"
        except Exception:
            logger.exception("share_failed")
            response = render(request, "500.html", status=500)
        response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001  # Django would log the path
        for name, value in PRIVATE.items():
            response[name] = value
        if "Content-Security-Policy" not in response:  # a file has one of its own
            response._csp_replace = POLICY  # type: ignore[attr-defined]  # noqa: SLF001  # as its decorator
        return response

    return guarded


def _limited(request: HttpRequest) -> HttpResponse | None:
    limits = rate_limit.required_limits((f"share-open:{_place(request)}", settings.RATE_SHARE_OPENS))
    wait = rate_limit.try_acquire(limits)
    return _wait(request, wait) if wait else None


def _wait(request: HttpRequest, seconds: float) -> HttpResponse:
    response = render(request, "shares/wait.html", status=429)
    response["Retry-After"] = str(math.ceil(seconds))
    return response


def _place(request: HttpRequest) -> str:
    return rate_limit.network_of(client_ip(request) or "")


@rate_limit.own_rate
@csrf_exempt  # the only thing it accepts is the link's own password or key: no account is concerned
@require_http_methods(["GET", "HEAD", "POST"])
@for_readers
def show_share(request: HttpRequest, token: str) -> HttpResponse:
    """The page of a share, the form for its password, or the way to log in. POST `password`, or `key` and `before`."""
    link = _find(token)
    key = request.POST.get("key", "")
    if "password" in request.POST and link.audience == ShareAudience.PASSWORD:
        tried = try_password(link, request.POST["password"][: links.LONGEST_PASSWORD], _place(request))
        if tried.wait:
            return _wait(request, tried.wait)
        if not tried.right:
            return render(request, "shares/password.html", {"wrong": WRONG}, status=403)
        key = tried.key
    if not may_read(link, user_id_of(request), key):
        if link.audience == ShareAudience.PASSWORD:
            return render(request, "shares/password.html")
        return render(request, "shares/log_in.html", {"next": request.path}, status=403)
    before = request.POST.get("before", "") or request.GET.get("before", "")
    shared = read_shared(link, before)
    if request.method != "HEAD" and not before:
        links.count_view(link)
    context = _context(request, link, token, key) | {"shared": shared}
    if (at := shared.position) is not None:
        context["stream"] = {"url": f"/s/{token}/events", "key": key, "last": f"{at.epoch}.{at.seq}"}
    return render(request, "shares/share.html", context)


def _find(token: str) -> ShareLink:
    """Raises `NotFound`."""
    link = links.find_share(token)
    if link is None:
        raise NotFound
    return link


def user_id_of(request: HttpRequest) -> uuid.UUID | None:
    return user_of(request).pk if request.user.is_authenticated else None


def _context(request: HttpRequest, link: ShareLink, token: str, key: str) -> dict[str, Any]:
    return {
        "link": link,
        "live": link.kind == ShareKind.LIVE,
        "by": link.created_by.display_name if link.show_names else "",
        "key": key,
        "token": token,
        "may_copy": request.user.is_authenticated,
        "blank_user": BLANK | {"role": "user"},
        "blank_assistant": BLANK | {"role": "assistant"},
        "blank_steps": BLANK_STEPS,
        "blank_sources": BLANK_SOURCES,
    }


@require_POST
@for_readers
def copy(request: HttpRequest) -> HttpResponse:
    """Makes a copy for the reader, who is logged in, to go on with. POST `token`, and `key` for a link with a password.

    The token is not in the path, which is logged if the form's own token is wrong.
    """
    token = request.POST.get("token", "")
    link = _find(token)
    if not request.user.is_authenticated or not may_read(link, user_of(request).pk, request.POST.get("key", "")):
        return redirect("chat:share", token)
    try:
        made = copy_shared(link, user_of(request))
    except ChatError as error:
        if isinstance(error, (NotFound, Unavailable)):
            raise
        return render(request, "shares/not_copied.html", {"why": error.message}, status=409)
    return redirect("chat:conversation", made.pk)


# --- members ---------------------------------------------------------------------------------------------------------


@require_safe
@for_members
def read_shares(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    return JsonResponse(_describe(user_of(request).pk, conversation_id))


@command
def create(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """POST `kind`, `audience`, `password`, `days`, `names`, `reasoning`, `tools`, `files`, `message_id`. The address
    with the secret is returned only here.
    """
    actor_id = user_of(request).pk
    post = request.POST
    try:
        message_id = uuid.UUID(post["message_id"]) if post.get("message_id") else None
        days = int(post.get("days", links.USUAL_DAYS))
    except ValueError:
        raise Invalid from None
    wanted = links.Wanted(
        kind=post.get("kind", ""),
        audience=post.get("audience", ""),
        password=post.get("password", ""),
        days=days,
        show_names=post.get("names") == "1",
        show_reasoning=post.get("reasoning") == "1",
        show_tools=post.get("tools") == "1",
        show_files=post.get("files") == "1",
        message_id=message_id,
    )
    link, secret = links.create_share(actor_id, conversation_id, wanted)
    url = site_url(request) + reverse("chat:share", args=[secret])
    return _describe(actor_id, conversation_id) | {"url": url, "link_id": str(link.pk)}


@command
def revoke(request: HttpRequest, conversation_id: uuid.UUID, link_id: uuid.UUID) -> dict[str, Any]:
    actor_id = user_of(request).pk
    links.revoke_share(actor_id, link_id)
    return _describe(actor_id, conversation_id)


def _describe(user_id: uuid.UUID, conversation_id: uuid.UUID) -> dict[str, Any]:
    """What the page shows of share links."""
    asking = member_of(user_id, conversation_id)
    temporary = asking.conversation.temporary
    refused = ""
    if share_rule() == "off":
        refused = links.OFF
    elif temporary:
        refused = links.TEMPORARY
    elif asking.role not in links.sharing_roles():
        refused = links.REFUSED
    return {
        "links": links.list_shares(user_id, conversation_id),
        "audiences": links.offered_audiences(),
        "refused": refused,
    }
