"""What tests of waiting lines share."""

from __future__ import annotations

import pytest

from chat.turns import going_on


@pytest.fixture
def nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting lines go on when a test says so."""
    monkeypatch.setattr(going_on, "go_on_soon", lambda conversation_ids: None)
