"""What a request of the API has beyond a message: its exact turns, and what counts for its token."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from django.utils.translation import gettext as _

from accounts.auth.api_tokens import DayUsedUpError, count_answers
from chat.models import ApiRequest, Message
from chat.moderation.screened_turns import Turns, screen_turns
from chat.protocol.commands import ApiSend
from chat.protocol.errors import QuotaExceeded
from chat.protocol.functions import CALL, FORM, FUNCTION, RESULT, Notes

HEADINGS: Final = {
    "system": "System",
    "user": "User",
    "assistant": "Assistant",
    CALL: "Call of {}",
    RESULT: "Result of {}",
    FUNCTION: "Function {}",
    FORM: "Form of the answer {}",
}


def written(turns: Turns, notes: Notes | None = None) -> str:
    """All turns as one text, for people, rules and judges; of a single question, its text."""
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    names = {number: name for number, (_, name) in (notes or {}).items()}
    texts = [f"{HEADINGS[role].format(names.get(at, '?'))}:\n{text}" for at, (role, text) in enumerate(turns)]
    return "\n\n".join(texts)


def screen_request(message: Message, command: ApiSend, models: Sequence[str]) -> list[tuple[str, str]]:
    """The turns that the model gets. Changes the message as `screen_turns` does. Raises `Refusal`."""
    return screen_turns(message, command.turns, models, partial(written, notes=command.notes))


def store_request(message: Message, command: ApiSend, turns: Sequence[tuple[str, str]]) -> None:
    """Writes the request and counts it for its token, in the transaction of its turn. Raises `QuotaExceeded`."""
    count_for_token(command.token_id)
    rows: list[list[Any]] = [list(turn) for turn in turns]
    for file_id, number in zip(command.attachments or (), command.placed, strict=True):
        row = rows[number]
        row[2:] = [[*(row[2] if len(row) > 2 else []), str(file_id)]]
    for number, note in command.notes.items():
        rows[number] = [*rows[number], [], list(note)]
    ApiRequest.objects.create(message=message, token_id=command.token_id, turns=rows, head=command.head)


def count_for_token(token_id: uuid.UUID, answers: int = 1) -> None:
    """Counts answers for a token, in the transaction of their turn: all or none. Raises `QuotaExceeded`."""
    try:
        count_answers(token_id, answers)
    except DayUsedUpError as error:
        raise QuotaExceeded(
            _("This token has reached its limit of answers for today."), retry_after=error.retry_after
        ) from None
