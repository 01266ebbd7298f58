"""Browsers of people, and an ear for what ends their sessions."""

from __future__ import annotations

import asyncio
from typing import Any

from channels.layers import get_channel_layer
from django.test import Client

from accounts.auth.revocation import session_hash, was_revoked
from accounts.lib.redis import sync_redis
from accounts.models import User
from tests.conftest import PASSWORD


class Browser:
    """A logged-in client and its session."""

    def __init__(self, user: User) -> None:
        self.client = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/145.0"})
        self.user = user
        assert self.client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
        self.note()

    def note(self) -> None:
        self.key = str(self.client.session.session_key)
        self.hash = session_hash(self.key)

    def is_in(self) -> bool:
        return self.client.post("/ws/ticket/").status_code == 200


class Ear:
    """Listens to groups as a web process does, and tells which were told that their session ended."""

    def __init__(self) -> None:
        self.pubsub: Any = sync_redis().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self.groups: dict[bytes, str] = {}

    def listen(self, *groups: str) -> None:
        layer = get_channel_layer()
        for group in groups:
            address = layer.group_address(group)
            self.groups[address.encode() if isinstance(address, str) else address] = group
        self.pubsub.subscribe(*self.groups)
        for _ in groups:
            self.pubsub.get_message(timeout=2)  # the acknowledgement

    def heard(self) -> list[str]:
        """The groups told since the last call: Redis has delivered before `publish` returned to the sender."""
        layer = get_channel_layer()
        found = []
        while message := self.pubsub.get_message(timeout=0.05):
            content = message["data"].removeprefix(b"\xc1")
            if layer.deserialize(content)["type"] == "session.ended":
                found.append(self.groups[message["channel"]])
        return sorted(found)


def revoked(user: User, hash_: str) -> bool:
    return asyncio.run(was_revoked(user.pk, hash_))


def save_inactive(user: User) -> None:
    user.is_active = False
    user.save()
