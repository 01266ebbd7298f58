"""The section of the settings with one's own files: what they take, where they are, download, use again, delete."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.requests import user_of
from chat.conversations.file_removal import delete_file
from chat.conversations.membership import check_may_write
from chat.files import library, uploads
from chat.protocol.errors import ChatError, Invalid, NotFound
from chat.views.decorators import for_members


@require_safe
@for_members
def show_files(request: HttpRequest) -> HttpResponse:
    """The user's files, newest first, and their uploads that were not finished. `after`: the page after this file."""
    user_id = user_of(request).pk
    after = request.GET.get("after", "")
    try:
        page = library.list_files(user_id, after)
    except Invalid:
        raise Http404 from None
    context = {"page": page, "after": after, "uploads": () if after else uploads.own_uploads(user_id)}
    return render(request, "chat/settings/files.html", context)


@require_POST
@for_members
def delete(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """Deletes one of the user's files, also from the messages that have it."""
    delete_file(user_of(request).pk, file_id)
    messages.success(request, _("The file was deleted."))
    return redirect("chat:settings_files")


@require_POST
@for_members
def use_again(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """Opens a new conversation with a file of the same content attached, or shows why not."""
    user_id = user_of(request).pk
    try:
        check_may_write(user_id)
        made = library.reuse_file(user_id, file_id)
    except NotFound:
        raise
    except ChatError as error:
        messages.error(request, error.message)
        return redirect("chat:settings_files")
    return redirect(f"{reverse('chat:new')}?attach={made.pk}")


@require_POST
@for_members
def discard_upload(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    """Ends an upload that was not finished."""
    uploads.cancel_upload(user_of(request).pk, upload_id)
    messages.success(request, _("The upload was discarded."))
    return redirect("chat:settings_files")
