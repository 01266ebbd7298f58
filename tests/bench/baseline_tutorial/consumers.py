"""One socket: hands the prompt to a worker, passes on what comes back."""

from __future__ import annotations

import json
import uuid
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from tests.bench.baseline_tutorial.worker import answer


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    async def connect(self) -> None:
        self.group = f"chat_{uuid.uuid4().hex}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
        asked = json.loads(text_data)
        answer.delay(self.group, asked["text"], asked["model"])

    async def chat_token(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"text": event["text"]}))

    async def chat_done(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"done": True}))
