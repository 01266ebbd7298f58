"""What is kept of one answer's parameters: those that were really sent, and those that the model does not accept."""

from __future__ import annotations

from typing import Any

from chat.runs.claims import Claim
from workers.providers.base import SentOptions


def describe_parameters(claim: Claim, sent: SentOptions) -> dict[str, Any]:
    """The column `parameters` of a run at its end. Without a known request, only what was asked for it alone."""
    found: dict[str, Any] = {"asked": dict(claim.asked)} if claim.asked else {}
    if not sent.known:
        return found
    wanted = {"temperature": claim.temperature, "max_tokens": claim.max_tokens, "effort": claim.effort or None}
    really = {"temperature": sent.temperature, "max_tokens": sent.max_tokens, "effort": sent.effort}
    kept = {name: value for name, value in really.items() if value is not None}
    if kept:
        found["sent"] = kept
    if dropped := [name for name, value in wanted.items() if value is not None and name not in kept]:
        found["dropped"] = dropped
    found["system_chars"] = len(claim.system_prompt)
    if claim.instructions:
        found["instructions_chars"] = claim.instructions
    return found
