"""The members of a conversation in the admin: staff add, change and remove them, as its owners do."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget

from accounts import audit
from accounts.models import User
from chat.conversations import members
from chat.conversations.join_links import revoke, working_links
from chat.conversations.members_mail import mail_added
from chat.models import Conversation, JoinLink, Member, Role
from chat.protocol.errors import ChatError

PERMISSION: Final = "chat.change_member"
REMOVE: Final = "remove"
ROLES: Final = [*Role.choices, (REMOVE, _("Not a member"))]


class MemberForm(forms.Form):
    """What a person is to be in the conversation from now on."""

    email = forms.EmailField(
        label=_("Email address"), widget=UnfoldAdminEmailInputWidget(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField(
        choices=ROLES, initial=Role.EDITOR, widget=UnfoldAdminSelectWidget,
        help_text=_("A new member can read the whole conversation and is notified by email."),
    )  # fmt: skip


class MemberActions:
    """A page below a conversation's admin page, for `ConversationAdmin`."""

    admin_site: Any
    opts: Any

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.change_members)
        named = path("<uuid:id_>/members/", view, name="chat_conversation_members")
        return [named, *super().get_urls()]  # type: ignore[misc]  # ModelAdmin's, which this is mixed into

    def change_members(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        """Shows members and links to join; changes one member, or revokes a link, each recorded in the audit log."""
        if not request.user.has_perm("chat.view_conversation"):
            raise PermissionDenied
        conversation = get_object_or_404(Conversation, pk=id_)
        may_change = request.user.has_perm(PERMISSION)
        form = MemberForm(request.POST or None)
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            if "revoke" in request.POST:
                self._revoke(request, conversation, request.POST["revoke"])
                return redirect("admin:chat_conversation_members", id_)
            if form.is_valid() and self._change(request, conversation, form):
                return redirect("admin:chat_conversation_members", id_)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Members"),
            "opts": self.opts,
            "conversation": conversation,
            "members": members.members_of(id_),
            "links": working_links().filter(conversation=conversation).select_related("created_by"),
            "form": form,
            "may_change": may_change,
        }
        return TemplateResponse(request, "admin/chat/conversation_members.html", context)

    def _change(self, request: HttpRequest, conversation: Conversation, form: MemberForm) -> bool:
        """Returns whether it was done; the form has an error if not."""
        email, role = form.cleaned_data["email"], form.cleaned_data["role"]
        known = Member.objects.filter(conversation=conversation, user__email__iexact=email).first()
        what = User.objects.filter(email__iexact=email).first() or User
        audit.record(request, "change_member", what, conversation_id=conversation.pk, details=str(role))
        try:
            if role == REMOVE:
                members.remove_member(None, conversation.pk, known.user_id if known else uuid.UUID(int=0))
            elif known:
                members.change_role(None, conversation.pk, known.user_id, role)
            else:
                mail_added(request, members.add_member(None, conversation.pk, email, role))
        except ChatError as error:
            form.add_error(None, error.message)
            return False
        messages.success(request, f"{email}: {dict(ROLES)[role]}.")
        return True

    def _revoke(self, request: HttpRequest, conversation: Conversation, link_id: str) -> None:
        link = get_object_or_404(JoinLink, pk=link_id, conversation=conversation)
        audit.record(request, "revoke_join_link", link, conversation_id=conversation.pk)
        revoke(link)
        messages.success(request, gettext("The link no longer works."))
