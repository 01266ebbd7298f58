"""An endpoint of any dialect, and how a test asks it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.fakes.dialects.anthropic import AnthropicWire
from tests.fakes.dialects.gemini import GeminiWire
from tests.fakes.dialects.ollama import OllamaWire
from tests.fakes.dialects.openai import AzureDeploymentsWire, AzureWire, ChatWire
from tests.fakes.dialects.openai_responses import ResponsesWire
from tests.fakes.dialects.script import KEY, MODEL, QUESTION, SYSTEM, Script
from tests.fakes.dialects.server import DialectServer
from tests.fakes.dialects.wire import Wire
from tests.fakes.listening import Heard
from workers.providers.base import ChatTurn, Options, ProviderError
from workers.providers.config import ClientKind, Definition, Timeouts
from workers.providers.http.client import HttpChat
from workers.providers.kinds import make_http_client

WIRES: tuple[Wire, ...] = (
    ChatWire(), AzureWire(), AzureDeploymentsWire(), ResponsesWire(), AnthropicWire(), GeminiWire(), OllamaWire(),
)  # fmt: skip
TIMEOUTS = Timeouts(connect=10.0, first_chunk=30.0, idle=30.0, total=50.0)
TURNS = [ChatTurn("system", SYSTEM), ChatTurn("user", QUESTION)]


class Endpoint:
    """One dialect's endpoint, and the server behind it."""

    def __init__(self, server: DialectServer) -> None:
        self.server = server
        self.wire = server.wire
        self.opened: list[HttpChat] = []

    def client(self, key: str = KEY, **more: Any) -> HttpChat:
        definition = Definition(
            id="one", name="One", kind=cast("ClientKind", self.wire.kind), base_url=self.server.url, api_key=key,
            timeouts=more.pop("timeouts", TIMEOUTS), **more,
        )  # fmt: skip
        chat = make_http_client(definition)
        assert isinstance(chat, HttpChat)
        self.opened.append(chat)
        return chat

    async def ask(
        self,
        script: Script | None = None,
        *,
        chat: HttpChat | None = None,
        turns: list[ChatTurn] | None = None,
        options: Options | None = None,
        heard: Heard | None = None,
    ) -> Heard:
        if script is not None:
            self.server.play(script)
        heard = heard if heard is not None else Heard()
        chat = chat or self.client()
        async with chat.stream(
            MODEL, turns or TURNS, options=options or Options(), on_request=heard.note_request
        ) as answer:
            async for chunks in answer:
                assert chunks
                heard.lists.append(chunks)
        assert not self.server.problems
        return heard

    async def fail(self, script: Script, heard: Heard | None = None, **more: Any) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self.ask(script, heard=heard, **more)
        assert not self.server.problems
        assert KEY not in "".join([str(vars(caught.value)), repr(caught.value)])
        return caught.value
