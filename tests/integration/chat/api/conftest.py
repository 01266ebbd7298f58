"""The official client and a plain one against the shared stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.fixtures.api_tokens import add_token
from tests.stack import Stack


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    return add_token(stack)


@pytest.fixture
def client(stack: Stack, token: str) -> Iterator[openai.OpenAI]:
    """OpenAI's own client. It does not retry: each failure is seen."""
    with openai.OpenAI(base_url=f"{stack.webs[0].url}/v1", api_key=token, max_retries=0, timeout=30) as made:
        yield made


@pytest.fixture
def plain(stack: Stack, token: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{stack.webs[0].url}/v1/", headers=headers, timeout=30, trust_env=False) as made:
        yield made


@pytest.fixture
def ask(plain: httpx.Client) -> Any:
    """Asks for a completion with these fields beside a model and a question; the response."""

    def post(text: str = "hello", path: str = "chat/completions", **fields: Any) -> httpx.Response:
        body = {"model": "small", "messages": [{"role": "user", "content": text}], **fields}
        return plain.post(path, json=body)

    return post
