"""Snapshots: the texts of a path of messages as they were when the link was created."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from chat.conversations.branches import answers_beside, path_ids
from chat.eventlog.payloads import message_dict
from chat.eventlog.tool_events import read_steps
from chat.files.payloads import load_files
from chat.models import Message, MessageStatus, Reasoning, Run, SharedMessage, ShareLink
from chat.protocol.errors import Busy, Invalid

MOST_MESSAGES: Final = 2_000  # of one snapshot: the last ones
IN_PROGRESS: Final = (MessageStatus.PENDING, MessageStatus.STREAMING)
NOT_FINISHED: Final = gettext_noop(
    "An answer is being written. Share the conversation when it is finished, or share it live."
)


def freeze(link: ShareLink, leaf: uuid.UUID | None) -> None:
    """Stores the path to `leaf`, with answers beside it. Raises `Invalid` if there is none, and `Busy`."""
    ids = path_ids(link.conversation_id, leaf, limit=MOST_MESSAGES)
    if not ids:
        raise Invalid(_("There is nothing to share yet."))
    beside = answers_beside(ids[-1])
    ids[len(ids) - bool(beside) :] = beside
    found = Message.objects.in_bulk(ids)
    messages = [found[one] for one in ids if one in found]
    if any(message.status in IN_PROGRESS for message in messages):
        raise Busy(NOT_FINISHED)
    SharedMessage.objects.bulk_create(
        SharedMessage(
            link=link,
            message=message,
            number=number,
            text=message.text,
            html=message.html,
            moderation=message.moderation,
        )
        for number, message in enumerate(messages)
    )


def read_frozen(link: ShareLink, *, before: int | None, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Up to `limit` messages before the one with this number, else the last ones, as `message_dict` has them; and how
    many there are before these.
    """
    rows = SharedMessage.objects.filter(link=link).select_related("message__author").order_by("-number")
    if before is not None:
        rows = rows.filter(number__lt=before)
    kept = list(rows[:limit])[::-1]
    runs: dict[uuid.UUID, Run] = {}
    found = Run.objects.filter(message__in=[row.message_id for row in kept], created_at__lte=link.created_at)
    for run in found.order_by("part"):
        runs[run.message_id] = run
    if link.show_files:
        load_files([row.message for row in kept])
    thoughts = _thoughts(runs) if link.show_reasoning else {}
    steps = read_steps([run.pk for run in runs.values()])
    shown = [_as_it_was(row, runs.get(row.message_id), thoughts.get(row.message_id), steps) for row in kept]
    return shown, kept[0].number if kept else 0


def _thoughts(runs: dict[uuid.UUID, Run]) -> dict[uuid.UUID, str]:
    by_run = {run.pk: message_id for message_id, run in runs.items() if run.reasoning_chars}
    rows = Reasoning.objects.filter(run__in=by_run).values_list("run", "text")
    return {by_run[run_id]: text for run_id, text in rows}


def _as_it_was(
    row: SharedMessage, run: Run | None, thought: str | None, steps: Mapping[uuid.UUID, list[dict[str, Any]]]
) -> dict[str, Any]:
    """What was withheld, released or deleted since is shown as it is now, not as it was."""
    message = row.message
    if message.text and message.moderation == row.moderation:
        if message.text != row.text:
            message.html = ""  # of another text
        message.text, message.html = row.text, row.html or message.html
    if message.shown_files is None:
        message.file_count = 0  # the link does not show them
    return message_dict(message, run, reasoning=thought, steps=steps.get(run.pk, ()) if run else ())
