"""What a run keeps of the parameters of its answer."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from chat.runs.claims import Claim
from chat.runs.context import ClaimedRun
from workers.generation.parameters import describe_parameters
from workers.providers.base import SentOptions

RUN = ClaimedRun(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), "m", 1, 0, None, "")


@pytest.mark.parametrize(
    ("claim", "sent", "kept"),
    [
        ({}, SentOptions(), {}),
        ({"temperature": 0.5, "asked": {"temperature": 0.5}}, SentOptions(), {"asked": {"temperature": 0.5}}),
        ({}, SentOptions(known=True), {"system_chars": 9}),
        (
            {"temperature": 0.0, "max_tokens": 5, "effort": "low"},
            SentOptions(max_tokens=5, known=True),
            {"sent": {"max_tokens": 5}, "dropped": ["temperature", "effort"], "system_chars": 9},
        ),
        # What the quota or the API asks for is no parameter that was dropped, and is sent all the same.
        ({}, SentOptions(max_tokens=32_000, known=True), {"sent": {"max_tokens": 32_000}, "system_chars": 9}),
        (
            {"instructions": 4, "effort": "none"},
            SentOptions(effort="none", known=True),
            {"sent": {"effort": "none"}, "system_chars": 9, "instructions_chars": 4},
        ),
    ],
)
def test_what_is_kept(claim: dict[str, Any], sent: SentOptions, kept: dict[str, Any]) -> None:
    assert describe_parameters(Claim(RUN, "Be brief.", [], **claim), sent) == kept
