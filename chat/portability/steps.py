"""The steps of answers in exports: their calls with arguments and results, sources and files."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db.models import Prefetch
from django.utils.translation import gettext as _

from chat.models import Conversation, Message, Step, ToolCall, ToolFile
from chat.moderation.screening import WITHHELD

MAX_FILE_BYTES: Final = 64 * 2**20  # of one conversation: it is in memory as a whole
_SHOWN: Final = ("name", "title", "server", "effect", "status", "output", "output_chars")


class AnswerSteps:
    """The steps of a conversation's answers, by the ids of these. Withheld and deleted answers have none.

    `files`: with the contents of the files that tools made, up to `MAX_FILE_BYTES` in all; others are null.
    """

    def __init__(self, conversation: Conversation, *, files: bool = False) -> None:
        self._left = MAX_FILE_BYTES if files else 0
        self._with_files = files
        self._found: dict[uuid.UUID, list[Step]] = {}
        steps = Step.objects.filter(run__conversation=conversation).order_by("run__part", "run", "number")
        files_of = Prefetch("calls__files", ToolFile.objects.defer("content"))  # read one by one
        for step in steps.select_related("run").prefetch_related("calls__decided_by", files_of):
            self._found.setdefault(step.run.message_id, []).append(step)

    def of(self, message: Message) -> list[Step]:
        """The steps of an answer's runs, in their order."""
        if message.deleted_at is not None or message.moderation.get("action") in WITHHELD:
            return []
        return self._found.get(message.pk, [])

    def data_of(self, message: Message) -> dict[str, Any]:
        """`steps` of an answer as plain data for JSON; empty where it has none with calls."""
        steps = [
            {"number": step.number, "kind": step.kind, "status": step.status, "calls": calls}
            for step in self.of(message)
            if (calls := [self._call(call) for call in _in_order(step)])
        ]
        return {"steps": steps} if steps else {}

    def _call(self, call: ToolCall) -> dict[str, Any]:
        found: dict[str, Any] = {"id": str(call.pk), **{name: getattr(call, name) for name in _SHOWN}}
        found["arguments"] = call.arguments
        if call.edited_arguments:
            found["edited_arguments"] = call.edited_arguments
        if call.decision:
            by = call.decided_by.display_name if call.decided_by else None
            found |= {"decision": call.decision, "decided_by": by}
        if call.reason:
            found["reason"] = call.reason
        for name in ("queries", "sources"):
            if value := getattr(call, name):
                found[name] = value
        if files := list(call.files.all()):
            found["files"] = [self._file(one) for one in files]
        for name in ("started_at", "ended_at"):
            moment = getattr(call, name)
            found[name] = moment.isoformat() if moment else None
        return found

    def _file(self, file: ToolFile) -> dict[str, Any]:
        shown: dict[str, Any] = {"name": file.name, "media_type": file.media_type, "size": file.size}
        if self._with_files:
            fits = file.size <= self._left
            self._left -= file.size if fits else 0
            shown["content_base64"] = base64.b64encode(bytes(file.content)).decode("ascii") if fits else None
        return shown

    def lines_of(self, message: Message, passages: Sequence[Mapping[str, Any]] = ()) -> str:
        """The calls, sources and files of an answer in Markdown, for reading; empty where it has none. `passages`:
        those of collections that it cites.
        """
        calls = [call for step in self.of(message) for call in _in_order(step)]
        head = _("Tool")
        lines = [f"> {head}: {_plain(call.title or call.name)}{_told(call)}" for call in calls]
        found = [*passages, *(one for call in calls for one in call.sources)]
        sources = sorted(found, key=lambda one: int(one.get("n") or 0))
        if sources:
            lines += ["", _("Sources") + ":", ""]
            lines += [f"{one.get('n', '-')}. {_plain(one.get('title', ''))} {_where(one)}".rstrip() for one in sources]
        names = [_plain(file.name) for call in calls for file in call.files.all()]
        if names:
            lines += ["", _("Files") + ": " + ", ".join(names)]
        return "\n".join(lines)


def _where(source: Mapping[str, Any]) -> str:
    """The address of a source; of a passage of a file its page."""
    return f"<{source['url']}>" if source.get("url") else _plain(str(source.get("label") or ""))


def _in_order(step: Step) -> list[ToolCall]:
    return sorted(step.calls.all(), key=lambda call: call.place)


def _told(call: ToolCall) -> str:
    """What became of a call that is not simply done."""
    return "" if call.status == "ok" else f" ({call.get_status_display()})"


def _plain(text: str) -> str:
    """One line that is no Markdown."""
    line = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in line)


def approvals_of(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """A person's remembered decisions about tools."""
    return [
        {
            "tool": str(row),
            "conversation": str(row.conversation_id) if row.conversation_id else None,
            "created_at": row.created_at.isoformat(),
        }
        for row in rows
    ]
