"""A running site tells another system, end to end: question, answer, worker, and a signed request that arrives."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook as Verifier

from tests.client import PASSWORD, session
from tests.fakes.push_service import PushService
from tests.fixtures.stacks import stack_with_model
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with stack_with_model(env={"FETCH_ALLOWED_NETWORKS": "127.0.0.0/8"}) as (running, _):
        yield running


async def test_a_question_is_told_to_a_receiver(stack: Stack) -> None:
    with PushService(status=204) as receiver:
        async with session(stack.url) as alice:
            await alice.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/"})
            page = await alice.post("/accounts/settings/webhooks/new/", {
                "name": "Mine", "url": f"{receiver.url}/hook", "events": "answer.finished", "with_text": "on",
            })  # fmt: skip
            shown = await page.text()
            assert page.status == 200, shown[:500]
            secret = shown.partition('value="whsec_')[2].partition('"')[0]
            client = await alice.connect()
            await client.send(
                "message.send", conversation_id=None, client_id=str(uuid.uuid4()), text="What is a crocodile?"
            )
            run = (await client.next("message.accepted"))["run_id"]
            async with asyncio.timeout(90):
                while not receiver.requests:
                    await asyncio.sleep(0.1)
            async with asyncio.timeout(30):
                while (row := stack.sql("SELECT state, attempts FROM chat_webhookdelivery")[0])["state"] == "pending":
                    await asyncio.sleep(0.1)
        [request] = receiver.requests
        said = Verifier(f"whsec_{secret}").verify(request.body, request.headers)
        assert (said["type"], said["data"]["run_id"], said["data"]["status"]) == ("answer.finished", run, "done")
        assert said["data"]["question"] == "What is a crocodile?"
        assert said["data"]["answer"]
        assert json.loads(request.body) == said
        assert row == {"state": "delivered", "attempts": 1}
