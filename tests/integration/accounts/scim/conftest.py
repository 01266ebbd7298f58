"""A directory with a token of this site."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from accounts.models import ScimToken
from accounts.scim.tokens import give_secret


@dataclass
class Directory:
    """Asks as a directory does; without a token as anybody."""

    secret: str

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        headers = {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
        data = {} if body is None else {"data": json.dumps(body), "content_type": "application/scim+json"}
        if method == "get":
            return Client(headers=headers).get(f"/scim/v2/{path}", query)
        return getattr(Client(headers=headers), method)(f"/scim/v2/{path}", **data)

    def find(self, path: str, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("get", path, filter=query).json()["Resources"]
        return found


def make_token(name: str = "Entra ID") -> tuple[ScimToken, str]:
    token = ScimToken(name=name)
    secret = give_secret(token)
    token.save()
    return token, secret


@pytest.fixture
def directory() -> Directory:
    return Directory(make_token()[1])
