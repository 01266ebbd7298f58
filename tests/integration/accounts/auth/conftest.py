"""An ear for what ends sessions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.accounts.auth.listening import Ear


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.pubsub.close()
