"""Downloads of conversations."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from accounts.models import User
from chat.conversations.membership import member_of
from chat.portability.conversation_files import to_markdown
from chat.portability.export import FORMAT, VERSION, conversation_data, pieces
from chat.views.decorators import for_members


@require_safe
@for_members
def save_one(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """`as=markdown`: the newest path, to be read. `as=json`: every branch, which an import reads again."""
    assert isinstance(request.user, User)  # by login_required
    member = member_of(request.user.pk, conversation_id, with_user=True)
    name = slugify(member.conversation.title) or "conversation"
    if request.GET.get("as") == "markdown":
        return _file(to_markdown(member), f"{name}.md", "text/markdown")
    if request.GET.get("as") == "json":
        data = {"format": FORMAT, "version": VERSION, "conversations": [conversation_data(member)]}
        return _file(_json(data), f"{name}.json", "application/json")
    raise Http404


@require_safe
@for_members
def save_all(request: HttpRequest) -> HttpResponse:
    """All there is about the person, as `manage.py export_user` writes it."""
    assert isinstance(request.user, User)  # by login_required
    return _file("".join(pieces(request.user)), f"antiphon-{timezone.now():%Y-%m-%d}.json", "application/json")


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1)


def _file(text: str, name: str, kind: str) -> HttpResponse:
    body = text.encode(errors="replace")  # half a character cannot be written down
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(body, content_type=f"{kind}; charset=utf-8", headers=headers)
