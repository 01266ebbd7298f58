"""The page of one's own links: those that share a conversation, and those by which people join one."""

from __future__ import annotations

import uuid
from typing import Final

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.requests import user_of
from chat.conversations import join_links
from chat.models import JoinLink, ShareLink
from chat.shares.links import revoke_share, working_shares
from chat.views.decorators import for_members

MOST_SHOWN: Final = 200  # of each kind


@require_safe
@for_members
def show_links(request: HttpRequest) -> HttpResponse:
    """The links that the user created and that work, newest first."""
    user = user_of(request)
    shares = working_shares().filter(created_by=user).select_related("conversation").order_by("-created_at")
    joins = join_links.working_links().filter(created_by=user).select_related("conversation").order_by("-created_at")
    ended = ShareLink.objects.filter(Q(revoked_at__isnull=False) | Q(expires_at__lte=timezone.now()), created_by=user)
    context = {"shares": shares[:MOST_SHOWN], "joins": joins[:MOST_SHOWN], "ended": ended.count()}
    return render(request, "chat/own_links.html", context)


@require_POST
@for_members
def revoke(request: HttpRequest, link_id: uuid.UUID) -> HttpResponse:
    """Revokes one of the user's own links, of either kind."""
    user = user_of(request)
    if ShareLink.objects.filter(pk=link_id, created_by=user).exists():
        revoke_share(user.pk, link_id)
    else:
        link = JoinLink.objects.filter(pk=link_id, created_by=user).first()
        if link is None:
            raise Http404
        join_links.revoke(link)
    messages.success(request, _("The link no longer works."))
    return redirect("chat:own_links")
