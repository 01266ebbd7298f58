"""One conversation as a Markdown file, for reading. An import does not read it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final

from django.utils.translation import gettext as _

from chat.conversations.branches import answers_beside, path_ids
from chat.eventlog.payloads import author_of, finish_note
from chat.files.sources import sources_of_run
from chat.models import Comparison, Member, Message, MessageRole, MessageStatus, Run
from chat.portability.steps import AnswerSteps

MAX_PATH: Final = 100_000  # messages
UNFINISHED: Final = (MessageStatus.STOPPED, MessageStatus.FAILED, MessageStatus.INTERRUPTED)


def to_markdown(member: Member) -> str:
    """The branch that the member looks at. Each heading names the author or the model.

    Of answers side by side, the one on the path names the models of the others. While none is chosen, all are there.
    """
    conversation = member.conversation
    ids = path_ids(conversation.pk, member.tip_id or conversation.tip_id, limit=MAX_PATH)
    beside = answers_beside(ids[-1]) if ids else []
    ids[len(ids) - bool(beside) :] = beside
    messages = Message.objects.select_related("author").in_bulk(ids)
    runs = {run.message_id: run for run in Run.objects.filter(conversation=conversation, latest=True)}
    compared = _Compared(runs.values())
    steps = AnswerSteps(conversation)
    parts = ["# " + (conversation.title or _("Conversation"))]
    for message in (messages[pk] for pk in ids if pk in messages):
        text = message.text.strip()
        if message.deleted_at is not None:
            text = _note(_("This message was deleted."))
        elif message.edited_at is not None:
            text += "\n\n" + _note(_("edited"))
        if message.status in UNFINISHED:
            text += "\n\n" + _note(_("not finished"))
        elif message.pk in runs and (note := finish_note(runs[message.pk].finish)):
            text += "\n\n" + _note(note)
        if message.pk not in beside and (note := _others_note(runs.get(message.pk), compared)):
            text += "\n\n" + _note(note)
        passages = sources_of_run(runs[message.pk]) if message.pk in runs else ()
        lines = steps.lines_of(message, passages)
        parts += [f"## {_speaker(message, runs.get(message.pk))}", text, lines]
    if beside:
        parts.append(_note(_("None of these answers is chosen yet.")))
    return "\n\n".join(part for part in parts if part) + "\n"


class _Compared:
    """The comparisons of a conversation, and the model at each of their places, by the question."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.models: dict[uuid.UUID, dict[int, str]] = {}
        for run in runs:
            if run.slot:
                self.models.setdefault(run.prompt_id, {})[run.slot] = run.model
        self.found = Comparison.objects.in_bulk(self.models)


def _others_note(run: Run | None, compared: _Compared) -> str:
    """A sentence about the answers beside this run's; empty if there are none."""
    if run is None or not run.slot or run.prompt_id not in compared.found:
        return ""
    others = [model for slot, model in sorted(compared.models[run.prompt_id].items()) if slot != run.slot]
    models = {"models": ", ".join(others)}
    if compared.found[run.prompt_id].chosen_id == run.message_id:
        return str(_("Chosen from several answers; the others are by: %(models)s") % models)
    return str(_("Not the chosen one of several answers; the others are by: %(models)s") % models)


def _speaker(message: Message, run: Run | None) -> str:
    if message.role == MessageRole.USER:
        return (author_of(message) or {}).get("name") or str(_("Somebody"))
    return run.model if run else str(_("Answer"))


def _note(text: str) -> str:
    """What is said about a message, in its own words."""
    return f"*({text})*"
