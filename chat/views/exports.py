"""Downloads of one conversation, and of everything stored about a user."""

from __future__ import annotations

import itertools
import json
import uuid
from functools import partial
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from accounts.lib.rate_limit import counts_reads
from accounts.lib.streaming import send_file, stream_file
from chat.conversations.membership import member_of, memberships
from chat.models import Member
from chat.portability.export import FORMAT, VERSION, conversation_data, export_user_data
from chat.portability.markdown_export import to_markdown
from chat.views.decorators import for_members


@counts_reads
@require_safe
@for_members
def export_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    """`as=markdown`: the newest path, for reading. `as=json`: every branch, which an import can read; with
    `reasoning=1` also what the models thought. A download ends when the user is removed.
    """
    member = member_of(user_of(request).pk, conversation_id, with_user=True)
    name = slugify(member.conversation.title) or "conversation"
    if request.GET.get("as") == "markdown":
        text = to_markdown(member)
        member_of(member.user_id, conversation_id)  # a large one takes a while: the user may be removed meanwhile
        return _download(request, member, text, f"{name}.md", "text/markdown")
    if request.GET.get("as") == "json":
        one = conversation_data(member, reasoning=_wants_reasoning(request))
        member_of(member.user_id, conversation_id)  # as above
        data: dict[str, Any] = {"format": FORMAT, "version": VERSION, "conversations": [one]}
        text = json.dumps(data, ensure_ascii=False, indent=1)
        return _download(request, member, text, f"{name}.json", "application/json")
    raise Http404


@counts_reads
@require_safe
@for_members
def export_own_data(request: HttpRequest) -> HttpResponseBase:
    """Everything stored about the user, as `manage.py export_user` writes it, with its option as `reasoning=1`.

    It is sent while it is made: it may be large, with all recordings, and take longer than a request may.
    """
    pieces = export_user_data(user_of(request), reasoning=_wants_reasoning(request))
    first = next(pieces)  # before the response begins: an outage has its own page
    # An unpaired surrogate cannot be encoded.
    encodable = (piece.encode(errors="replace").decode() for piece in itertools.chain([first], pieces))
    name = f"antiphon-{timezone.now():%Y-%m-%d}.json"
    return stream_file(request, name, "application/json; charset=utf-8", encodable)


def _wants_reasoning(request: HttpRequest) -> bool:
    return request.GET.get("reasoning") == "1"


def _download(request: HttpRequest, member: Member, text: str, name: str, content_type: str) -> HttpResponseBase:
    body = text.encode(errors="replace")  # an unpaired surrogate cannot be encoded
    may_read = partial(_is_member, member.user_id, member.conversation_id)
    response = send_file(request, name, f"{content_type}; charset=utf-8", body, may_read)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _is_member(user_id: uuid.UUID, conversation_id: uuid.UUID) -> bool:
    return bool(memberships([(user_id, conversation_id)]))
