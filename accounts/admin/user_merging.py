"""The admin page that merges two accounts of one person: asks for the other account, shows what happens, does it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import audit, erasure, four_eyes, merging, roles
from accounts.admin.pending_acts import asked_sentence
from accounts.admin.user_forms import ReasonForm
from accounts.auth.proof import check_recent_proof
from accounts.auth.requests import user_of
from accounts.models import ActKind, User

REPORT: Final = {  # the labels of `UserData.merge_report`, in order
    "conversations_moved": _("conversations, moved"),
    "conversations_of_both": _("conversations that both are members of, kept once"),
    "messages_moved": _("messages, moved"),
    "folders_moved": _("folders, moved"),
    "tags_moved": _("tags, moved"),
    "files_moved": _("files, moved"),
    "collections_moved": _("collections, moved"),
    "presets_moved": _("own presets, moved"),
    "prompts_moved": _("own prompts, moved"),
    "recordings_moved": _("voice recordings, moved"),
    "share_links_moved": _("share links, moved"),
    "api_tokens_moved": _("API tokens, moved; they go on working"),
    "addresses_moved": _("confirmed email addresses, moved"),
    "logins_moved": _("connections with single sign-on, moved"),
    "usage_entries_moved": _("usage entries, moved"),
    "top_ups_moved": _("top-ups, moved"),
    "quotas_deleted": _("quotas of the account itself, deleted"),
    "top_ups_deleted": _("top-ups of these quotas, deleted"),
    "sessions_ended": _("sessions, ended"),
    "devices_deleted": _("devices registered for notifications, deleted"),
}


class MergeForm(ReasonForm):
    """The account that stays, and why."""

    field_order = ("into", "reason")
    into = forms.CharField(
        label=_("Email address of the account that stays"), max_length=254,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    shown = forms.UUIDField(required=False, widget=forms.HiddenInput)  # the account whose preview was shown

    def __init__(self, user: User, by: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.by = user, by

    def clean_into(self) -> User:
        kept = User.objects.filter(email__iexact=self.cleaned_data["into"].strip()).first()
        if kept is None:
            raise forms.ValidationError(gettext("There is no account with this address."))
        try:
            merging.check_mergeable(self.user, kept, self.by)
        except merging.MergeRefusedError as error:
            raise forms.ValidationError(str(error)) from None
        if not roles.may_manage(self.by, kept):
            raise forms.ValidationError(gettext("You don’t have permission to do this."))
        return kept


class UserMerging:
    """For `UserActions`, which checks permissions and makes pages."""

    _managed_user: Callable[[HttpRequest, uuid.UUID, str], User]
    _page: Callable[..., HttpResponse]

    def merge(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        user, by = self._managed_user(request, id_, "merge_user"), user_of(request)
        form = MergeForm(user, by, request.POST or None)
        title = gettext("Merge %(user)s into another account") % {"user": user}
        if request.method != "POST" or not form.is_valid():
            return self._page(request, "merge", user, form=form, title=title)
        kept, reason = form.cleaned_data["into"], form.cleaned_data["reason"]
        if form.cleaned_data["shown"] != kept.pk:
            found = erasure.user_data().merge_report(user, kept)
            preview = [(text, found[name]) for name, text in REPORT.items() if found.get(name)]
            return self._page(request, "merge", user, form=form, title=title, kept=kept, preview=preview)
        check_recent_proof(request)
        kind = ActKind.MERGE_USER
        if four_eyes.is_needed(kind) and not four_eyes.take_approved(kind, by, user=user, what=kept.email):
            audit.record(request, f"ask_{kind}", user, reason=reason, subjects=[user.pk, kept.pk])
            is_new = four_eyes.ask(kind, by, reason, user=user, what=kept.email)
            messages.info(request, asked_sentence(is_new=is_new))
            return redirect("admin:accounts_user_change", user.pk)
        try:
            with transaction.atomic():  # the entry is there if it was done
                changes, people = {"account": (user.email, kept.email)}, [kept.pk, user.pk]
                audit.record(request, merging.VERB, kept, reason=reason, changes=changes, subjects=people)
                erasure.user_data().merge(user, kept)
        except merging.MergeRefusedError as error:
            messages.error(request, str(error))
            return redirect("admin:accounts_user_change", user.pk)
        said = gettext("%(merged)s has been merged into this account.") % {"merged": user.email}
        messages.success(request, said)
        return redirect("admin:accounts_user_change", kept.pk)
