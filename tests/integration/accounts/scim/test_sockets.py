"""Deactivated by a directory: the user's sockets close within two seconds, and what they wrote stays."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid

import httpx
import pytest

from tests.client import session
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def test_a_socket_closes(stack: Stack) -> None:
    email = stack.add_user("Leaver")
    prefix = secrets.token_hex(6)
    text = f"scim_{prefix}_{secrets.token_urlsafe(32)}"
    stack.sql(
        "INSERT INTO accounts_scimtoken (id, name, prefix, token_hash, created_at) VALUES (%s, %s, %s, %s, now())"
        " RETURNING id",
        uuid.uuid4(), prefix, prefix, hashlib.sha256(text.encode()).hexdigest(),
    )  # fmt: skip
    async with (
        httpx.AsyncClient(
            base_url=f"{stack.webs[0].url}/scim/v2/", headers={"Authorization": f"Bearer {text}"}, trust_env=False
        ) as directory,
        session(stack.url, email, fresh=True) as browser,
    ):
        client = await browser.connect(at=stack.webs[1].url)
        [user] = (await directory.get("Users", params={"filter": f'userName eq "{email}"'})).json()["Resources"]
        body = {"Operations": [{"op": "replace", "path": "active", "value": False}]}
        since = time.monotonic()
        (await directory.patch(f"Users/{user['id']}", json=body)).raise_for_status()
        assert await client.closed() == 4401
        assert time.monotonic() - since < 2
