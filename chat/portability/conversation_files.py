"""What a person takes along: one conversation as Markdown or JSON, or everything of theirs as JSON."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from chat.dossier import FORMAT, VERSION, conversation_data, pieces
from chat.models import Member, Message, MessageRole, MessageStatus
from chat.queries import member_of, path_ids
from chat.views import for_members

LONGEST_PATH: Final = 100_000  # messages
UNFINISHED: Final = (MessageStatus.STOPPED, MessageStatus.FAILED, MessageStatus.INTERRUPTED)


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


def to_markdown(member: Member) -> str:
    """The path to the newest message, who said it as headings."""
    conversation = member.conversation
    ids = path_ids(conversation.pk, conversation.tip_id, limit=LONGEST_PATH)
    messages = Message.objects.select_related("author", "run").in_bulk(ids)
    parts = [f"# {conversation.title or _('Conversation')}"]
    for message in (messages[pk] for pk in ids if pk in messages):
        text = message.text.strip()
        if message.status in UNFINISHED:
            text += f"\n\n*({_('not finished')})*"
        parts += [f"## {_speaker(message)}", text]
    return "\n\n".join(part for part in parts if part) + "\n"


def _speaker(message: Message) -> str:
    if message.role == MessageRole.USER:
        return message.author.display_name if message.author else str(_("Somebody"))
    return message.run.model if hasattr(message, "run") else str(_("Answer"))


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1)


def _file(text: str, name: str, kind: str) -> HttpResponse:
    body = text.encode(errors="replace")  # half a character cannot be written down
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(body, content_type=f"{kind}; charset=utf-8", headers=headers)
