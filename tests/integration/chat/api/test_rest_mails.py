"""Mails that a request of the REST API causes. Allauth, which sends them, is used to its own middleware."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core import mail
from pytest_django.fixtures import Settings

from accounts.auth.api_tokens import create_token
from accounts.lib.db import in_db
from accounts.models import User
from config.web.rest import RestApi
from tests.fixtures.conversation_rows import make_conversation

COMMUNICATOR: Any = ApplicationCommunicator  # asgiref does not say its types
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("clean_redis"),
    pytest.mark.filterwarnings("ignore:Returning tuple:DeprecationWarning"),  # Ninja's, since 1.5
]


async def post(path: str, token: str, body: Any) -> int:
    """The status of the answer."""
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")]
    asked = COMMUNICATOR(RestApi(), {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [*headers, (b"host", b"testserver")], "server": ("testserver", 80), "client": ("127.0.0.1", 9),
    })  # fmt: skip
    await asked.send_input({"type": "http.request", "body": json.dumps(body).encode()})
    status: int = (await asked.receive_output(30))["status"]
    await asked.wait(30)
    return status


async def test_who_was_added_gets_a_mail(alice: User, bob: User, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://chat.example.org"]
    conversation = await in_db(make_conversation, alice)
    _, token = await in_db(lambda: create_token(alice, "test", ["conversations"], days=None))
    path = f"/api/v1/conversations/{conversation.pk}/members"
    assert await post(path, token, {"email": bob.email, "role": "viewer"}) == 201
    [message] = mail.outbox
    assert message.to == [bob.email]
    assert f"https://chat.example.org/c/{conversation.pk}/" in str(message.body)
