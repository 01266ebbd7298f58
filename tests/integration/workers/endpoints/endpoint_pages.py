"""What the tests of the endpoints' admin pages share."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.fixtures.people import staff_client
from workers.models import Endpoint

KEY = "sk-page-canary-77d0"
ADD = "/admin/workers/endpoint/add/"


@pytest.fixture
def keeper(db: None) -> Client:
    """May do everything about endpoints."""
    verbs = ("view", "add", "change", "delete")
    return staff_client(
        *(f"{verb}_endpoint" for verb in verbs), *(f"{verb}_endpointmodel" for verb in verbs), "test_endpoint"
    )


def form(models: list[tuple[str, str]] | None = None, **values: Any) -> dict[str, Any]:
    """What the page posts."""
    posted: dict[str, Any] = {
        "name": "Ours", "kind": "openai_chat", "base_url": "http://models.example.org/v1", "use": "offered",
        "position": "10", "models-TOTAL_FORMS": str(len(models or [])), "models-INITIAL_FORMS": "0",
    }  # fmt: skip
    for number, (name, label) in enumerate(models or []):
        posted |= {f"models-{number}-name": name, f"models-{number}-label": label, f"models-{number}-position": "10"}
    return posted | values


def page_of(row: Endpoint) -> str:
    return f"/admin/workers/endpoint/{row.pk}/change/"


def add(client: Client, **values: Any) -> Endpoint:
    answer = client.post(ADD, form(**values))
    assert answer.status_code == 302, answer.context["errors"]
    return Endpoint.objects.get(name=values.get("name", "Ours"))
