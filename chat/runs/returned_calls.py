"""What a model wants back with the results of its calls, for the program that made them: its signed thinking.

A program gets the calls alone, and sends them back as any client of OpenAI's does. What the model's API needs beside
them is stored with the step that asked for them, and found again by the id that the model gave the call. Nothing of it
passes through the program, so nothing can be forged or taken to another account.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from chat.models import ToolCall
from chat.protocol.functions import CALL, Notes
from chat.runs.step_rows import RETURNED


def read_replays(
    user_id: uuid.UUID | None, path: Sequence[tuple[str, str]], notes: Notes
) -> Mapping[str, Mapping[str, Any]]:
    """By the ids of the calls in a request of this user: what is to go back with them. One query, if there are calls.

    Only calls with the same name and arguments count, because some servers give every call the same id; of several the
    newest does. Those of conversations that are in the trash or deleted do not.
    """
    sent = {notes[at][0]: (notes[at][1], _plain(text)) for at, (role, text) in enumerate(path) if role == CALL}
    if not sent or user_id is None:
        return {}
    rows = ToolCall.objects.filter(
        upstream_id__in=list(sent), tries=0, server="", output=RETURNED, run__requested_by=user_id,
        run__conversation__deleted_at=None, model_step__replay__isnull=False,
    ).order_by("pk")  # fmt: skip
    found = rows.values_list("upstream_id", "name", "arguments", "model_step__replay")
    return {
        call_id: replay
        for call_id, name, arguments, replay in found
        if replay is not None and sent[call_id] == (name, _plain(arguments))
    }


def _plain(arguments: str) -> Any:
    """Arguments as they compare: clients may write the same JSON in another way."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments
