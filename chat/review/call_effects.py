"""What a decision does to what a tool was given or returned, and to a file that a tool made."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from chat.conversations.file_removal import remove_file
from chat.models import File, Message, MessageStatus, ToolCall, ToolFile
from chat.models.moderation import CaseTarget, DecisionKind, Direction, ModerationCase
from chat.moderation.rewriting import republish
from chat.protocol.errors import Conflict
from chat.runs.step_texts import blank_calls

RUNS: Final = gettext_noop("The answer is still being written. Decide when it has ended.")
ERASED: Final = gettext_noop("The original was erased, so there is nothing to bring back.")
MOST_OF_FILE: Final = 1_000_000  # characters of a file's original that its case has


def of_call(case: ModerationCase, kind: DecisionKind) -> str:
    """The arguments or the result of a call. Only its text comes back: a call is not made because of a decision."""
    call = ToolCall.objects.select_related("run").filter(pk=case.target_id).first()
    message = _message_of(call)
    if call is None or message is None:
        return _("The call does not exist any more; the decision is recorded.")
    if kind == DecisionKind.MASK:
        if case.action == "mask":
            return _("The matches are masked. It stays as it is.")
        return _("Nothing of it is shown. It stays as it is.")
    if kind == DecisionKind.DELETE:
        blank_calls(ToolCall.objects.filter(pk=call.pk))
        republish(message.pk)
        return _("What the tool was given and returned was removed.")
    if not case.original:
        raise Conflict(ERASED)
    if case.action == "flag":
        return _("It was shown already.")
    if case.target == CaseTarget.CALL:
        ToolCall.objects.filter(pk=call.pk).update(arguments=case.original)
        _lift(case, message)
        return _("The arguments are shown as they were. The call is not made because of that.")
    size = max((int(one.get("output", 0)) for one in case.rules), default=0)
    if size:
        ToolCall.objects.filter(pk=call.pk).update(output=case.original[:size], output_chars=size)
    _lift(case, message)
    return _("The result is shown as it was; its sources and the names of its files stay masked.")


def of_file(case: ModerationCase, kind: DecisionKind) -> str:
    """A file that somebody attached, or that a tool made: one of these that was withheld was never stored."""
    if case.direction == Direction.NAMED:
        if kind == DecisionKind.RELEASE:
            return _("The name was replaced or refused. Its file can be attached again once the rule lets it pass.")
        return _("The name stays as it is.")
    if (attached := File.objects.filter(pk=case.target_id).first()) is not None:
        return _of_attached(case, attached, kind)
    file = ToolFile.objects.select_related("call__run").filter(pk=case.target_id).first()
    message = _message_of(file.call if file is not None else None)
    if file is None or message is None:
        return _("The file was never stored, or was deleted; the decision is recorded.")
    if kind == DecisionKind.MASK:
        return _("The matches are masked. It stays as it is.")
    if kind == DecisionKind.DELETE:
        file.delete()
        republish(message.pk)
        return _("The file was deleted.")
    if not case.original:
        raise Conflict(ERASED)
    if len(case.original) >= MOST_OF_FILE:
        raise Conflict(_("The file is too long to be brought back from its case."))
    content = case.original.encode()
    ToolFile.objects.filter(pk=file.pk).update(content=content, size=len(content))
    republish(message.pk)
    return _("The file has its text again.")


def _of_attached(case: ModerationCase, file: File, kind: DecisionKind) -> str:
    """Models get it from the next answer on as the decision says (`chat.moderation.attached_files`)."""
    if kind == DecisionKind.DELETE:
        remove_file(file)
        return _("The file was deleted.")
    if kind == DecisionKind.RELEASE:
        return _("Models get the file from the next answer on.")
    if not any(one.get("rule") and one.get("places") for one in case.rules):
        raise Conflict(_("Nothing was marked in this text, so there is nothing to mask. Release or delete it."))
    return _("Models get the file with the matches masked from the next answer on.")


def _message_of(call: ToolCall | None) -> Message | None:
    """The answer of a call, unless it was deleted. Raises `Conflict` while it is being written."""
    if call is None:
        return None
    message = Message.objects.defer("text", "html").filter(pk=call.run.message_id).first()
    if message is None or message.deleted_at is not None:
        return None
    if message.status in (MessageStatus.PENDING, MessageStatus.STREAMING):
        raise Conflict(RUNS)
    return message


def _lift(case: ModerationCase, message: Message) -> None:
    """The answer is not marked because of this case any more; readers get it anew."""
    if message.moderation.get("case_id") == str(case.pk):
        Message.objects.filter(pk=message.pk).update(moderation={})
    republish(message.pk)
