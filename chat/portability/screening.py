"""Screens imported conversations by the rules of moderation: what people wrote, what models answered, titles and system
prompts. Judges are not asked: a file may have thousands of texts.

What a rule masks is stored masked. A message that a rule holds or blocks is stored without its text; a reviewer can
release it from its case. A title or system prompt that a rule holds or blocks is left empty.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from accounts.models import User
from chat.models import Conversation, Message, MessageRole
from chat.models.moderation import Action, CaseTarget, Direction
from chat.moderation.cases import Finding, finding_of, open_case, shown_moderation
from chat.moderation.screening import screen
from chat.portability.formats import ImportedConversation

_COUNTED: Final = {
    Action.FLAG: "flagged", Action.MASK: "masked", Action.HOLD: "withheld", Action.BLOCK: "withheld",
}  # fmt: skip
SYSTEM_PROMPT: Final = "system_prompt"


@dataclass(frozen=True, slots=True)
class FoundText:
    """What rules found in a text. `message` is the id in the file; empty: it is a text of the conversation."""

    finding: Finding
    original: str
    direction: Direction
    target: CaseTarget
    message: str = ""
    target_id: uuid.UUID | None = None  # once it is known


def screen_conversation(user: User, imported: ImportedConversation) -> list[FoundText]:
    """Replaces the texts of a conversation by what may be stored of them; what was found in them."""
    found: list[FoundText] = []
    for place, message in enumerate(imported.messages):
        direction = Direction.ANSWERED if message.role == MessageRole.ASSISTANT else Direction.ASKED
        text = _screen(
            user, message.text, direction, CaseTarget.MESSAGE, found, message=message.id, model=message.model
        )
        if text != message.text:
            imported.messages[place] = replace(message, text=text)
    imported.title = _screen(user, imported.title, Direction.NAMED, CaseTarget.TITLE, found)[:200]
    if prompt := imported.parameters.get(SYSTEM_PROMPT):
        imported.parameters[SYSTEM_PROMPT] = _screen(user, prompt, Direction.ASKED, CaseTarget.PRESET, found)
    return found


def _screen(
    user: User, text: str, direction: Direction, target: CaseTarget, found: list[FoundText], *, message: str = "",
    model: str = "",
) -> str:  # fmt: skip
    screened = screen(text, direction, user.pk, (model,) if model else ())
    if screened.verdict is None or (finding := finding_of(screened.verdict)) is None:
        return text
    found.append(FoundText(finding, text, direction, target, message))
    return "" if finding.action in (Action.HOLD, Action.BLOCK) else screened.text


def open_cases(
    user: User, found: Sequence[FoundText], conversation: Conversation, messages: Mapping[uuid.UUID, Message]
) -> None:
    """Opens the cases of a conversation, and marks its messages, which are not stored yet. In the transaction that
    stores them.
    """
    for one in found:
        assert one.target_id is not None
        case = open_case(
            one.target, one.target_id, one.finding, direction=one.direction, original=one.original,
            person_id=user.pk, conversation_id=conversation.pk,
        )  # fmt: skip
        if one.target_id in messages:
            messages[one.target_id].moderation = shown_moderation(case)


def count_found(found: Sequence[FoundText]) -> dict[str, int]:
    """How many texts were flagged, masked and withheld."""
    return dict(Counter(_COUNTED[one.finding.action] for one in found))
