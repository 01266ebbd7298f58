"""The form that a program asks an answer to have, in the words of no vendor. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The form that an answer is to have: JSON; with a `schema`, JSON that follows it. `strict`: exactly, at endpoints
    that know this. `text` is what a program wrote of it, whose tokens count.
    """

    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    description: str = ""
    strict: bool = False
    text: str = ""
