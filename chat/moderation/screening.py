"""Screens what people write, say and name by the rules in force, before it is stored.

A text that a rule masks is stored masked, one that a rule holds is stored empty until a reviewer releases it, and one
that a rule blocks is not stored. The original is in the case only. While no rule is in force for a direction, screening
is one look-up.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from django.db import transaction

from chat.models import ApiRequest, Message
from chat.models.conversations import title_from
from chat.models.moderation import Action, CaseTarget, Direction, ModerationCase
from chat.moderation.cases import NOTICES, Finding, finding_of, open_case, shown_moderation
from chat.moderation.matching import matcher
from chat.moderation.rules import Verdict, audience_of, rules_in_force
from chat.protocol.errors import Conflict, Moderated
from chat.protocol.functions import question_of

# Actions in `Message.moderation` of a message without its text.
WITHHELD: Final = frozenset({"hold", "block", "withdrawn"})


class Refusal(Exception):
    """A text that must not be stored. Raised within a transaction; after that `refuse` opens its case."""

    def __init__(self, finding: Finding, original: str, direction: Direction) -> None:
        self.finding = finding
        self.original = original
        self.direction = direction
        super().__init__(finding.notice)


@dataclass(frozen=True, slots=True)
class Screened:
    """What rules say about a text, and the text as it may be stored: without what they mask, or empty if held."""

    text: str
    verdict: Verdict | None = None  # None: they say nothing

    @property
    def action(self) -> Action | None:
        return Action[self.verdict.action.name] if self.verdict and self.verdict.action else None


def screen(text: str, direction: Direction, user_id: uuid.UUID, models: Sequence[str] = ()) -> Screened:
    """Screens a text of this user. Of several models, rules for any of them count."""
    rules = rules_in_force(direction)
    if not rules.known or not text:
        return Screened(text)
    first, *others = models or ("",)
    audience = replace(audience_of(rules, user_id, first), others=frozenset(others))
    verdict = rules.screen(text, audience)
    if verdict.action is None:
        return Screened(text)
    return Screened("" if verdict.action is matcher.Action.HOLD else verdict.masked, verdict)


def screen_message(message: Message, models: Sequence[str], direction: Direction = Direction.ASKED) -> bool:
    """Screens a message of its author that is about to be inserted: replaces its text, notes in it what readers must
    know, and opens its case. Returns whether it is held. Within the transaction that inserts it. Raises `Refusal`.
    """
    assert message.author_id is not None
    screened = screen(message.text, direction, message.author_id, models)
    case = _record(
        screened, message.text, direction, CaseTarget.MESSAGE, message.pk, message.author_id, message.conversation_id
    )
    if case is None:
        return False
    message.text, message.moderation = screened.text, shown_moderation(case)
    return screened.action == Action.HOLD


def screen_waiting(text: str, user_id: uuid.UUID, models: Sequence[str]) -> str:
    """A message that will be sent later as others may see it: with each hit masked of rules that mask or hold it. Empty
    if that is all of it. No case opens: it is screened again when it is sent. Raises `Refusal` if a rule blocks it.
    """
    screened = screen(text, Direction.ASKED, user_id, models)
    if screened.action == Action.BLOCK:
        assert screened.verdict is not None
        raise Refusal(_finding(screened.verdict), text, Direction.ASKED)
    return _without_hits(screened, text) if screened.action in (Action.MASK, Action.HOLD) else ""


def mask_refused(text: str, user_id: uuid.UUID) -> str:
    """A message that was refused as others may see it: without what rules flag, or an ellipsis if they do not say."""
    masked = _without_hits(screen(text, Direction.ASKED, user_id), text)
    return masked if masked != text else "…"


def screen_edit(message: Message, text: str, user_id: uuid.UUID) -> tuple[str, dict[str, str]]:
    """Screens the text that a user gives to a message in place: the text as it may be stored, and what readers must
    know of it. Opens its case. Within the transaction that stores it. Raises `Refusal`, also for what a rule would
    hold: until a decision the old text would be shown.
    """
    screened = screen(text, Direction.ASKED, user_id)
    _refuse_held(screened, text, Direction.ASKED)
    case = _record(
        screened, text, Direction.ASKED, CaseTarget.MESSAGE, message.pk, user_id, message.conversation_id
    )  # fmt: skip
    return screened.text, shown_moderation(case) if case and screened.action == Action.MASK else {}


def screen_system_prompt(text: str, user_id: uuid.UUID, conversation_id: uuid.UUID) -> str:
    """The system prompt of a conversation as it may be stored. Within the transaction that stores it, which a
    `Refusal` ends.
    """
    screened = screen(text, Direction.ASKED, user_id)
    _refuse_held(screened, text, Direction.ASKED)
    _record(screened, text, Direction.ASKED, CaseTarget.PRESET, conversation_id, user_id, conversation_id)
    return screened.text


def screen_title(title: str, user_id: uuid.UUID) -> str:
    """A title made of a message's words as it may be stored; empty if a rule for names holds or blocks it.

    No case opens: nobody chose it.
    """
    screened = screen(title, Direction.NAMED, user_id)
    return "" if screened.action in (Action.HOLD, Action.BLOCK) else screened.text


def titles_made_of(message: Message) -> list[str]:
    """The titles that a conversation may have got of the words of a question: as they are, and as rules have left them.
    Of a request of the API it is its question that gives them. A query, unless `api_request` was read with the message.
    """
    request: ApiRequest | None = getattr(message, "api_request", None)
    words = title_from(question_of(request.turns) if request is not None and request.turns else message.text)
    if not words:
        return []
    return [words] if message.author_id is None else [words, screen_title(words, message.author_id)]


def screen_field(
    text: str,
    user_id: uuid.UUID,
    target: CaseTarget,
    target_id: uuid.UUID,
    *,
    direction: Direction = Direction.NAMED,
    conversation_id: uuid.UUID | None = None,
    longest: int | None = None,
) -> str:
    """A name, or another text of a form, as it may be stored, at most `longest` characters. Opens its case.

    Not within a transaction: what is refused has a case all the same. Raises `Moderated`.
    """
    screened = screen(text, direction, user_id)
    if screened.verdict is None:
        return text
    with transaction.atomic():
        try:
            _refuse_held(screened, text, direction)
            _record(screened, text, direction, target, target_id, user_id, conversation_id)
        except Refusal as refusal:
            case = _open(refusal, target, target_id, user_id, conversation_id)
        else:
            return screened.text[:longest]
    raise Moderated(case.notice, case_id=case.pk)


def refuse(refusal: Refusal, user_id: uuid.UUID, client_id: uuid.UUID) -> Moderated:
    """Opens the case of a command that was refused, in a transaction of its own; the error that says so.

    The same command sent again finds the same case, also after it was decided. Raises `Conflict` if the `client_id` was
    used for another text.
    """
    with transaction.atomic():
        known = ModerationCase.objects.filter(target=CaseTarget.REFUSED, target_id=client_id).order_by("opened_at")
        case = known.first() or _open(refusal, CaseTarget.REFUSED, client_id, user_id, None)
    if case.person_id != user_id or (case.original and case.original != refusal.original):
        raise Conflict
    return Moderated(case.notice, case_id=case.pk)


def check_not_withheld(message: Message) -> None:
    """Raises `Moderated` for a message whose text is withheld: it cannot be asked again."""
    known = message.moderation
    if known.get("action") in WITHHELD:
        raise Moderated(known["reason"], case_id=uuid.UUID(known["case_id"]))


def mask_spoken(text: str, user_id: uuid.UUID) -> str:
    """What was said as its speaker may see it: without anything that a rule masks, holds or blocks."""
    return _without_hits(screen(text, Direction.SPOKEN, user_id), text)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A transcript as it may be stored and shown. `case`: of what is missing in it, unless a message has the case."""

    text: str
    case: ModerationCase | None = None


def screen_transcript(
    text: str, user_id: uuid.UUID, utterance_id: uuid.UUID, conversation_id: uuid.UUID | None, *, is_sent: bool
) -> Spoken:
    """Screens the final transcript of an utterance. One that `is_sent` as a message is empty if that is held or
    blocked, and the message has the case. Of any other one each hit is masked, and its case opens here.
    """
    screened = screen(text, Direction.SPOKEN, user_id)
    if screened.verdict is None:
        return Spoken(text)
    if is_sent:
        return Spoken("" if screened.action in (Action.HOLD, Action.BLOCK) else screened.text)
    finding = _finding(screened.verdict)
    if finding.action in (Action.HOLD, Action.BLOCK):
        notice = screened.verdict.notice or NOTICES[Action.MASK]
        finding = replace(finding, action=Action.MASK, notice=notice)
    with transaction.atomic():
        case = open_case(
            CaseTarget.REFUSED, utterance_id, finding, direction=Direction.SPOKEN, original=text, person_id=user_id,
            conversation_id=conversation_id,
        )  # fmt: skip
    return Spoken(_without_hits(screened, text), case if shown_moderation(case) else None)


def _without_hits(screened: Screened, text: str) -> str:
    if screened.verdict is None:
        return text
    return matcher.masked(text, [hit for hit in screened.verdict.hits if hit.action > matcher.Action.FLAG])


def _refuse_held(screened: Screened, original: str, direction: Direction) -> None:
    """What is no message cannot wait for a reviewer: it is refused."""
    if screened.action == Action.HOLD:
        assert screened.verdict is not None
        notice = screened.verdict.notice or NOTICES[Action.BLOCK]
        raise Refusal(replace(_finding(screened.verdict), action=Action.BLOCK, notice=notice), original, direction)


def _record(
    screened: Screened,
    original: str,
    direction: Direction,
    target: CaseTarget,
    target_id: uuid.UUID,
    user_id: uuid.UUID,
    conversation_id: uuid.UUID | None,
) -> ModerationCase | None:
    """Opens the case of a text that is stored; None if nothing was found in it. Raises `Refusal` if it is blocked."""
    if screened.verdict is None:
        return None
    finding = _finding(screened.verdict)
    if finding.action == Action.BLOCK:
        raise Refusal(finding, original, direction)
    return open_case(
        target, target_id, finding, direction=direction, original=original, person_id=user_id,
        conversation_id=conversation_id,
    )  # fmt: skip


def _finding(verdict: Verdict) -> Finding:
    finding = finding_of(verdict)
    assert finding is not None
    return finding


def _open(
    refusal: Refusal,
    target: CaseTarget,
    target_id: uuid.UUID,
    user_id: uuid.UUID,
    conversation_id: uuid.UUID | None,
) -> ModerationCase:
    return open_case(
        target, target_id, refusal.finding, direction=refusal.direction, original=refusal.original, person_id=user_id,
        conversation_id=conversation_id,
    )  # fmt: skip
