"""A catalogue with one model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chat.catalog import offered_models
from chat.catalog.presets import clear_presets_cache
from tests.fixtures.offered_models import forget_models


@pytest.fixture
def one_model_offered(clean_redis: str) -> Iterator[None]:
    offered_models.publish_models([{"id": "one", "label": "One"}])
    forget_models()
    clear_presets_cache()
    yield
    forget_models()
    clear_presets_cache()
