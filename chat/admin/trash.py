"""Restoring a conversation from its owner's trash, for staff: it asks why, and is recorded."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from accounts import audit
from accounts.admin.user_forms import ReasonForm
from chat.admin.people import people_of
from chat.conversations.trashing import restore_many
from chat.models import Conversation, Member, Role
from chat.protocol.errors import ChatError

PERMISSION: Final = "chat.change_conversation"


class TrashActions:
    """A page below a conversation's admin page, for `ConversationAdmin`."""

    admin_site: Any
    opts: Any

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.restore)
        named = path("<uuid:id_>/restore/", view, name="chat_conversation_restore")
        return [named, *super().get_urls()]  # type: ignore[misc]  # ModelAdmin's, which this is mixed into

    def restore(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        """Asks why; then the conversation is in the lists of its members again."""
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        conversation = get_object_or_404(Conversation, pk=id_)
        owner = Member.objects.filter(conversation=conversation, role=Role.OWNER).order_by("pk").first()
        if conversation.deleted_at is None or owner is None:
            messages.info(request, gettext("This conversation is not in the trash."))
            return redirect("admin:chat_conversation_change", id_)
        form = ReasonForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            shown = {"title": gettext("Restore a conversation"), "button": gettext("Restore"), "form": form}
            context = {**self.admin_site.each_context(request), **shown, "opts": self.opts}
            return TemplateResponse(request, "admin/accounts/user/reason.html", context)
        audit.record(
            request,
            "restore",
            conversation,
            conversation_id=id_,
            reason=form.cleaned_data["reason"],
            subjects=people_of(conversation, id_),
        )
        try:
            restore_many(owner.user_id, [id_])
        except ChatError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, gettext("The conversation has been restored."))
        return redirect("admin:chat_conversation_change", id_)
