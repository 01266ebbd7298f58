"""The pages of a user's own prompts, and the library as the message field uses it."""

from __future__ import annotations

import hashlib
import uuid

import msgspec
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.auth.requests import user_of
from accounts.lib.rate_limit import counts_reads
from chat.catalog.prompt_files import MAX_FILE_BYTES, export_prompts, import_prompts
from chat.catalog.prompts import duplicate_prompt, prompt_entries, prompt_pieces, usable_prompts
from chat.models import Prompt
from chat.models.prompts import MAX_OWN_PROMPTS
from chat.protocol.errors import Invalid, Moderated
from chat.views.decorators import for_members, for_members_revalidated
from chat.views.library import delete_own, duplicated, edit_own, find_own, refused
from chat.views.library_forms import ImportForm, PromptForm

LIST = "chat:prompts"
FORM = "chat/library/prompt_form.html"
SKIPPED_NAMED = 10  # names of skipped prompts that are shown


@require_safe
@for_members
def list_prompts(request: HttpRequest) -> HttpResponse:
    """The user's own prompts, and those of others that they may use; with `q` those in whose name or title it is."""
    user = user_of(request)
    query = request.GET.get("q", "").strip().replace("\x00", "")[:100]
    found = Q(name__icontains=query.removeprefix("/")) | Q(title__icontains=query)
    own = Prompt.objects.filter(owner=user)
    count = own.count()
    others = usable_prompts(user.pk).exclude(owner=user).filter(found).select_related("owner").order_by("owner", "name")
    rows = list(others.defer("text"))
    context = {
        "own": own.filter(found).prefetch_related("groups").defer("text").order_by("name"),
        "shared": [row for row in rows if row.owner_id is not None],
        "staffs": [row for row in rows if row.owner_id is None],
        "query": query,
        "count": count,
        "limit": MAX_OWN_PROMPTS,
        "form": ImportForm(),
    }
    return render(request, "chat/library/prompts.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def create_prompt(request: HttpRequest) -> HttpResponse:
    return _edit(request, Prompt())


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def edit_prompt(request: HttpRequest, prompt_id: uuid.UUID) -> HttpResponse:
    return _edit(request, find_own(request, Prompt, prompt_id))


@require_POST
@for_members
def copy_prompt(request: HttpRequest, prompt_id: uuid.UUID) -> HttpResponse:
    """Makes the user's own copy of a prompt that they may use."""
    try:
        copy = duplicate_prompt(user_of(request), prompt_id)
    except Invalid as error:
        return refused(request, error, LIST)
    return duplicated(request, copy, "chat:prompt")


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def delete_prompt(request: HttpRequest, prompt_id: uuid.UUID) -> HttpResponse:
    return delete_own(request, find_own(request, Prompt, prompt_id), _("This cannot be undone."), LIST)


@counts_reads
@require_safe
@for_members
def download_prompts(request: HttpRequest) -> HttpResponse:
    """The user's own prompts as a file that `upload_prompts` reads."""
    name = f"prompts-{timezone.now():%Y-%m-%d}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(export_prompts(user_of(request)), content_type="application/json", headers=headers)


@require_POST
@for_members
def upload_prompts(request: HttpRequest) -> HttpResponse:
    """Adds the prompts of a file to the user's own."""
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return refused(request, Invalid(_("Choose a file first.")), LIST)
    file = form.cleaned_data["file"]
    if file.size > MAX_FILE_BYTES:
        return refused(request, Invalid(_("This file is too large.")), LIST)
    try:
        done = import_prompts(user_of(request), file.read())
    except (Invalid, Moderated) as error:
        return refused(request, error, LIST)
    said = ngettext("%(count)d prompt has been imported.", "%(count)d prompts have been imported.", done.made)
    messages.success(request, said % {"count": done.made})
    if done.skipped:
        names = ", ".join(f"/{name}" for name in done.skipped[:SKIPPED_NAMED])
        names += " …" if len(done.skipped) > SKIPPED_NAMED else ""
        messages.warning(request, _("Skipped, because you have a prompt of that name: %(names)s") % {"names": names})
    return redirect(LIST)


@require_safe
@for_members_revalidated
def list_library(request: HttpRequest) -> HttpResponse:
    """The prompts of this user as JSON, without texts. The browser asks whether it has changed (`ETag`)."""
    body = msgspec.json.encode({"prompts": prompt_entries(user_of(request))})
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json", headers={"ETag": etag})
    return get_conditional_response(request, etag=etag, response=response) or response


@require_safe
@for_members
def show_prompt(request: HttpRequest, prompt_id: uuid.UUID) -> HttpResponse:
    """The text of a prompt that the user may use, in pieces, and its variables, as JSON."""
    return JsonResponse(prompt_pieces(user_of(request).pk, prompt_id))


def _edit(request: HttpRequest, prompt: Prompt) -> HttpResponse:
    prompt.updated_at = timezone.now()  # stored with the form
    return edit_own(request, PromptForm(user_of(request), request.POST or None, instance=prompt), FORM, LIST)
