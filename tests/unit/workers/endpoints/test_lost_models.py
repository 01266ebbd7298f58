"""A worker publishes its models again as soon as it sees that Redis has lost them: without any, nothing is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from workers.endpoints import service
from workers.endpoints.service import EndpointSync

MODELS = [{"id": "large", "label": "Large"}]


class Redis:
    """Has the models, or has lost them."""

    def __init__(self, *, has_them: bool) -> None:
        self.has_them = has_them

    async def exists(self, key: str) -> int:
        assert key == "models"
        return int(self.has_them)


class Router:
    """Knows the endpoints already."""

    def __init__(self, catalog: Any) -> None:
        self.catalog = catalog

    def set_endpoints(self, _endpoints: Any) -> bool:
        return False


@pytest.mark.parametrize(
    ("has_them", "catalog", "published"), [(False, MODELS, [MODELS]), (True, MODELS, []), (False, [], [])]
)
async def test_they_are_published_again_where_they_are_lost(
    has_them: bool, catalog: Any, published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []

    async def loaded(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(service, "in_db", loaded)
    monkeypatch.setattr(service, "async_redis", lambda: Redis(has_them=has_them))
    monkeypatch.setattr(service, "publish_models", written.append)
    sync = EndpointSync()
    sync._known = True
    monkeypatch.setattr(sync, "router", Router(catalog))
    await sync.reload()
    assert written == published
