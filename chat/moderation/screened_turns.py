"""Screens what a program asks with all its turns: a request of the API is one question of its user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from chat.models import Message
from chat.models.moderation import Action, CaseTarget, Direction
from chat.moderation.cases import NOTICES, finding_of, open_case, shown_moderation
from chat.moderation.rules import Verdict
from chat.moderation.screening import Refusal, screen
from chat.protocol.functions import READ_ROLES, still_usable, strings_of

Turns = Sequence[tuple[str, str]]


def screen_turns(
    message: Message, turns: Turns, models: Sequence[str], written: Callable[[Turns], str]
) -> list[tuple[str, str]]:
    """The turns as the model may get them: with each hit of a rule that masks masked. `message` is about to be inserted
    and has all of them as one text, which `written` makes of turns; it gets that text masked, too, and its case opens.

    Within the transaction that inserts it. Raises `Refusal` for what a rule blocks, and for what one would hold: a
    program does not wait for a reviewer. The same where a hit lies across turns, so that masking each would not do; and
    where masking would leave arguments that are no JSON, or ask for another schema than the program's.
    """
    assert message.author_id is not None
    whole = screen(message.text, Direction.ASKED, message.author_id, models)
    each = [screen(text, Direction.ASKED, message.author_id, models) for _, text in turns]
    # Of JSON, what its strings have without their escapes: nothing is masked there, so such a hit is refused.
    hidden = [
        found
        for (role, _), one in zip(turns, each, strict=True)
        if role in READ_ROLES
        and (found := screen(strings_of(one.text), Direction.ASKED, message.author_id, models)).verdict is not None
    ]  # fmt: skip
    for one in hidden:
        if one.action == Action.MASK and one.verdict is not None:
            raise _refusal(one.verdict, message.text)
    for one in (whole, *each, *hidden):
        if one.verdict is not None and one.action in (Action.BLOCK, Action.HOLD):
            raise _refusal(one.verdict, message.text)
    verdict = whole.verdict or next((one.verdict for one in (*each, *hidden) if one.verdict is not None), None)
    if verdict is None:
        return list(turns)
    masked = [(role, one.text) for (role, _), one in zip(turns, each, strict=True)]
    text = written(masked)
    usable = all(still_usable(role, was, one.text) for (role, was), one in zip(turns, each, strict=True))
    if not usable or (whole.action == Action.MASK and text != whole.text):
        raise _refusal(verdict, message.text)
    finding = finding_of(verdict)
    assert finding is not None
    case = open_case(
        CaseTarget.MESSAGE, message.pk, finding, direction=Direction.ASKED, original=message.text,
        person_id=message.author_id, conversation_id=message.conversation_id,
    )  # fmt: skip
    message.text, message.moderation = text, shown_moderation(case)
    return masked


def _refusal(verdict: Verdict, original: str) -> Refusal:
    finding = finding_of(verdict)
    assert finding is not None
    if finding.action != Action.BLOCK:
        finding = replace(finding, action=Action.BLOCK, notice=verdict.notice or NOTICES[Action.BLOCK])
    return Refusal(finding, original, Direction.ASKED)
