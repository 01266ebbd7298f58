"""The members of a conversation, and the links by which people join it."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.auth.adapter import client_ip, site_url
from accounts.auth.requests import user_of
from accounts.lib import rate_limit
from accounts.lib.formatting import grouped
from chat.conversations import join_links, members
from chat.conversations.answering import describe_rule
from chat.conversations.directory import find_people
from chat.conversations.members_mail import mail_added
from chat.conversations.membership import member_of
from chat.models import Member, Role
from chat.protocol.errors import Invalid, Suspended
from chat.views.decorators import command, for_members

SESSION_KEY: Final = "join_link"  # its value is the hash of the link's secret
OPEN_RATE: Final = "30/m"  # of links opened from one IP address


@require_safe
@for_members
def read_members(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The members and, for owners, the links. With `q`, people with such a name who may be added (see `directory`)."""
    user_id = user_of(request).pk
    if "q" in request.GET:
        return JsonResponse({"people": find_people(user_id, conversation_id, request.GET["q"])})
    return JsonResponse(_describe(user_id, conversation_id))


@command
def add(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """POST `email` or `user_id` (of the directory), and `role`."""
    actor = user_of(request)
    post = request.POST
    added = members.add_member(
        actor.pk, conversation_id, post.get("email", ""), post.get("role", Role.EDITOR), user_id=_id(post, "user_id")
    )
    mail_added(request, added)
    return _describe(actor.pk, conversation_id) | {"added": added.member.user.display_name}


@command
def change_role(request: HttpRequest, conversation_id: uuid.UUID, user_id: uuid.UUID) -> dict[str, Any]:
    """POST `role`."""
    actor_id = user_of(request).pk
    members.change_role(actor_id, conversation_id, user_id, request.POST.get("role", ""))
    return _describe(actor_id, conversation_id)


@command
def remove(request: HttpRequest, conversation_id: uuid.UUID, user_id: uuid.UUID) -> dict[str, Any]:
    actor_id = user_of(request).pk
    members.remove_member(actor_id, conversation_id, user_id)
    return _describe(actor_id, conversation_id)


@command
def leave(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """POST `successor`, a member's id, if the user is the only owner."""
    members.leave(user_of(request).pk, conversation_id, _id(request.POST, "successor"))
    return {}


@command
def create_link(request: HttpRequest, conversation_id: uuid.UUID) -> dict[str, Any]:
    """POST `role`, `days` and `most_uses` (empty: no limit). The address with the secret is returned only here."""
    actor_id = user_of(request).pk
    post = request.POST
    most_uses = _number(post.get("most_uses", ""), join_links.MOST_USES) if post.get("most_uses") else None
    link, secret = join_links.create_link(
        actor_id,
        conversation_id,
        role=post.get("role", ""),
        days=_number(post.get("days", "7"), join_links.MOST_DAYS),
        most_uses=most_uses,
    )
    url = f"{site_url(request)}{reverse('chat:open_join_link')}#{secret}"
    return _describe(actor_id, conversation_id) | {"url": url, "link_id": str(link.pk)}


@command
def revoke_link(request: HttpRequest, conversation_id: uuid.UUID, link_id: uuid.UUID) -> dict[str, Any]:
    actor_id = user_of(request).pk
    join_links.revoke_link(actor_id, conversation_id, link_id)
    return _describe(actor_id, conversation_id)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def open_link(request: HttpRequest) -> HttpResponse:
    """The address of a link. Its script posts the secret, whose hash moves to the session; a log-in follows if needed.

    Answers 410 for a link that does not work, 429 beyond OPEN_RATE.
    """
    if request.method != "POST":
        return render(request, "account/open_link.html")
    place = rate_limit.network_of(client_ip(request) or "")
    if rate_limit.try_acquire(rate_limit.required_limits((f"joined:{place}", OPEN_RATE))):
        return render(request, "429.html", status=429)
    link = join_links.find_link(request.POST.get("secret", ""))
    if link is None:
        return _refuse(request, join_links.GONE)
    request.session[SESSION_KEY] = link.token_hash
    return redirect("chat:accept_join_link")


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def accept_link(request: HttpRequest) -> HttpResponse:
    """Asks whether to join, and says what the others will see; joins on POST."""
    user = user_of(request)
    token_hash = request.session.get(SESSION_KEY, "")
    link = join_links.find_link_by_hash(token_hash)
    if link is None:
        return _refuse(request, _("Open the link again. If it does not work, ask for a new one."))
    if request.method != "POST":
        if Member.objects.filter(conversation=link.conversation_id, user=user).exists():
            return redirect("chat:conversation", link.conversation_id)
        total = Member.objects.filter(conversation=link.conversation_id).count()
        return render(request, "chat/join.html", {"link": link, "members": total})
    try:
        conversation = join_links.join(user, token_hash)
    except Invalid as error:
        return _refuse(request, error.message)
    except Suspended as error:  # the link stays in the session, for the time after
        return _refuse(request, error.message, 403)
    request.session.pop(SESSION_KEY, None)
    return redirect("chat:conversation", conversation.pk)


def _refuse(request: HttpRequest, why: str, status: int = 410) -> HttpResponse:
    return render(request, "chat/join_refused.html", {"why": why}, status=status)


def _describe(user_id: uuid.UUID, conversation_id: uuid.UUID) -> dict[str, Any]:
    """What the page shows of members and links."""
    asking = member_of(user_id, conversation_id)
    return {
        "members": members.list_members(user_id, conversation_id),
        "links": join_links.list_links(user_id, conversation_id),
        "may_manage": asking.role == Role.OWNER and not asking.conversation.temporary,
        "temporary": asking.conversation.temporary,
        "directory": settings.PEOPLE_DIRECTORY,
        "rule": describe_rule(asking.conversation, asking),
    }


def _id(post: Any, name: str) -> uuid.UUID | None:
    """Raises `Invalid` for what is no UUID."""
    try:
        return uuid.UUID(post[name]) if post.get(name) else None
    except ValueError:
        raise Invalid from None


def _number(text: str, most: int) -> int:
    """A positive whole number. Raises `Invalid`."""
    if not text.isascii() or not text.isdecimal() or len(text) > 6:
        raise Invalid(_("Enter a whole number from 1 to %(most)s.") % {"most": grouped(most)})
    return int(text)
