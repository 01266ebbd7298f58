"""What a decision does to the text of a case. Each target has its own way back, and a defined result if it is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.catalog.presets import clear_presets_cache
from chat.models import Conversation, Message, MessageStatus, Preset, Prompt
from chat.models.moderation import Action, CaseTarget, DecisionKind, ModerationCase
from chat.moderation.matching.matcher import Action as MatcherAction
from chat.moderation.matching.matcher import Hit, masked
from chat.moderation.rewriting import rewrite_message
from chat.protocol.errors import Conflict
from chat.review.announcements import announce_title
from chat.review.call_effects import of_call, of_file
from chat.turns.releasing import HeldState, refuse_held, release_held

ERASED: Final = gettext_noop("The original was erased, so there is nothing to bring back.")
REMOVED: Final = gettext_noop("A reviewer removed this because of this site's rules.")
MASKED: Final = gettext_noop("A reviewer decided that parts of this stay replaced.")
MAX_TITLE: Final = 200
MAX_NAME: Final = 120


def apply(case: ModerationCase, kind: DecisionKind) -> list[str]:
    """Releases, masks or deletes the text of a case; returns sentences for the reviewer about what changed.

    Raises `Conflict` with the reason if that is impossible now.
    """
    return [_APPLY[CaseTarget(case.target)](case, kind)]


def masked_original(case: ModerationCase) -> str:
    """The original without the places that were found in it. Raises `Conflict` if none were."""
    spans = places(case)
    if not spans:
        raise Conflict(_("Nothing was marked in this text, so there is nothing to mask. Release or delete it."))
    return masked(case.original, [Hit(start, end, 0, MatcherAction.MASK) for start, end in spans])


def places(case: ModerationCase) -> list[tuple[int, int]]:
    """Where in the original rules and judges found something, in order."""
    return _places(case, len(case.original), thinking=False)


def places_in_reasoning(case: ModerationCase) -> list[tuple[int, int]]:
    """The same for what the model thought."""
    return _places(case, len(case.original_reasoning), thinking=True)


def _places(case: ModerationCase, size: int, *, thinking: bool) -> list[tuple[int, int]]:
    found = {
        (int(start), min(int(end), size))
        for entry in case.rules
        for start, end in entry.get("places", ())
        if (entry.get("in") == "thinking") == thinking and 0 <= int(start) < min(int(end), size)
    }
    return sorted(found)


def _of_message(case: ModerationCase, kind: DecisionKind) -> str:
    message = Message.objects.filter(pk=case.target_id).defer("text", "html").first()
    if message is None:
        return _("The message was never stored, or does not exist any more; the decision is recorded.")
    if message.deleted_at is not None:
        return _("The message was deleted since; the decision is recorded.")
    if kind != DecisionKind.DELETE and message.edited_at is not None and message.edited_at > case.opened_at:
        return _("The message was edited since. It stays as it is.")
    if message.status in (MessageStatus.PENDING, MessageStatus.STREAMING) and message.role == "assistant":
        raise Conflict(_("The answer is still being written. Decide when it has ended."))
    if kind != DecisionKind.DELETE and not (case.original or case.original_reasoning):
        raise Conflict(ERASED)
    now = message.moderation.get("action")
    if now in (Action.HOLD, "withdrawn") or (now == Action.BLOCK and case.action == Action.HOLD):
        return _of_held(case, kind)
    if kind == DecisionKind.RELEASE:
        if now in (None, "release"):
            return _("The message was shown already.")
        rewrite_message(message.pk, case.original, {}, reasoning=case.original_reasoning or None)
        return _("The message is shown as it was.")
    if kind == DecisionKind.MASK:
        if now == Action.MASK:
            return _("The matches are masked. It stays as it is.")
        rewrite_message(message.pk, masked_original(case), _mark(case, Action.MASK, MASKED))
        return _("The matches in the message are masked now.")
    rewrite_message(message.pk, "", _mark(case, Action.BLOCK, REMOVED), reasoning="")
    return _("The text of the message was removed.")


def _of_held(case: ModerationCase, kind: DecisionKind) -> str:
    hidden = masked_original(case) if kind == DecisionKind.MASK else ""
    held = refuse_held(case.pk, REMOVED) if kind == DecisionKind.DELETE else release_held(case.pk)
    match held.state:
        case HeldState.GONE:
            return _("The message was never stored, or does not exist any more; the decision is recorded.")
        case HeldState.WITHDRAWN:
            return _("Its author has withdrawn the message; the decision is recorded.")
        case HeldState.REFUSED:
            return _("The message that waited was refused.")
    if hidden:
        rewrite_message(case.target_id, hidden, _mark(case, Action.MASK, MASKED))
        return _("The message that waited was sent with the matches masked.")
    return _("The message that waited was sent.")


def _mark(case: ModerationCase, action: Action, reason: str) -> dict[str, str]:
    return {"action": action.value, "reason": reason, "case_id": str(case.pk)}


def _of_refused(case: ModerationCase, kind: DecisionKind) -> str:
    if kind == DecisionKind.MASK:
        raise Conflict(_("This message was refused and never stored, so nothing can be masked in it."))
    if kind == DecisionKind.RELEASE:
        return _("The message was never stored. Its author may send it again, once the rule lets it pass.")
    return _("The message was never stored. It stays as it is.")


def _of_title(case: ModerationCase, kind: DecisionKind) -> str:
    conversation = Conversation.objects.select_for_update().filter(pk=case.target_id).first()
    if conversation is None:
        return _("The conversation does not exist any more; the decision is recorded.")
    conversation.title = _text_for(case, kind)[:MAX_TITLE]
    conversation.save(update_fields=["title"])
    announce_title(conversation)
    return _("The title was changed.")


def _of_name(case: ModerationCase, kind: DecisionKind) -> str:
    user = User.objects.select_for_update(no_key=True).filter(pk=case.target_id).first()
    if user is None:
        return _("The account does not exist any more; the decision is recorded.")
    user.name = _text_for(case, kind)[:MAX_NAME]
    user.save(update_fields=["name"])
    return _("The name was changed.")


def _of_preset(case: ModerationCase, kind: DecisionKind) -> str:
    """A preset or prompt is switched off as a whole, and its owner writes it anew; a system prompt is replaced."""
    conversation = Conversation.objects.select_for_update().filter(pk=case.target_id).first()
    if conversation is not None:
        conversation.system_prompt = _text_for(case, kind)
        conversation.save(update_fields=["system_prompt"])
        return _("The system prompt was changed.")
    if kind == DecisionKind.MASK:
        raise Conflict(_("This cannot be masked by a decision. Release it, or delete it: that switches it off."))
    for model in (Preset, Prompt):
        if model.objects.filter(pk=case.target_id).update(disabled_by_staff=kind == DecisionKind.DELETE):
            transaction.on_commit(clear_presets_cache)
            return _("It is switched off.") if kind == DecisionKind.DELETE else _("It is switched on.")
    return _("The preset or prompt was never stored, or does not exist any more; the decision is recorded.")


def _text_for(case: ModerationCase, kind: DecisionKind) -> str:
    if kind == DecisionKind.DELETE:
        return ""
    if not case.original:
        raise Conflict(ERASED)
    return case.original if kind == DecisionKind.RELEASE else masked_original(case)


_APPLY: Final[dict[CaseTarget, Callable[[ModerationCase, DecisionKind], str]]] = {
    CaseTarget.MESSAGE: _of_message,
    CaseTarget.REFUSED: _of_refused,
    CaseTarget.TITLE: _of_title,
    CaseTarget.NAME: _of_name,
    CaseTarget.PRESET: _of_preset,
    CaseTarget.FILE: of_file,
    CaseTarget.CALL: of_call,
    CaseTarget.RESULT: of_call,
}
