"""Live shares over server-sent events: what readers get, when it ends, and what a reader costs that does not read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
import uuid
from typing import Any

import aiohttp
import pytest

from tests.client import session
from tests.integration.chat.realtime.share_readers import owner, reading, share, snapshot_at
from tests.stack import Stack
from tests.watching import Watcher, watcher

pytestmark = pytest.mark.asyncio(loop_scope="function")


async def test_a_reader_sees_what_is_written(stack: Stack) -> None:
    async with owner(stack) as (alice, client, conversation), reading(alice, conversation) as (reader, _):
        await reader.open()
        await snapshot_at(reader)
        assert [message["text"] for message in reader.messages.values()][1] == "tok0 tok1 tok2 "
        accepted = await client.say("More [[tokens=40 rate=100]]", conversation)
        run = await reader.sees_end_of(accepted["run_id"])
        assert run["text"] == "".join(f"tok{n} " for n in range(40))
        assert reader.snapshots == 1, "everything since came as events"
        assert reader.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reader.headers["cache-control"] == "no-store, no-transform"
        assert (reader.headers["x-accel-buffering"], reader.headers["referrer-policy"]) == ("no", "no-referrer")
        assert reader.headers["x-robots-tag"].startswith("noindex")
        assert "set-cookie" not in reader.headers
        assert "content-encoding" not in reader.headers


async def test_a_password_opens_the_stream(stack: Stack) -> None:
    async with owner(stack) as (alice, _, conversation):
        made = await share(alice, conversation, audience="password", password="open sesame")
        async with watcher(made["url"]) as reader:
            await reader.open()
            assert reader.status == 403
            page = await reader.http.post(made["url"], data={"password": "open sesame"})
            html = await page.text()
            stream = json.loads(html.split('<script id="stream" type="application/json">')[1].split("</script>")[0])
            reader.url = f"{alice.url}{stream['url']}?key={stream['key']}&last={stream['last']}"
            await reader.open(last="")
            assert reader.status == 200
            reader.url = reader.url.replace("key=", "key=x")
            again = Watcher(reader.http, reader.url)
            await again.open()
            assert again.status == 403
            await again.close()


async def test_resuming_from_the_id(stack: Stack) -> None:
    async with owner(stack) as (alice, client, conversation), reading(alice, conversation) as (reader, _):
        await reader.open()
        await snapshot_at(reader)
        accepted = await client.say("Long [[tokens=60 rate=60]]", conversation)
        run_id = accepted["run_id"]
        await reader.until(lambda: len(reader.runs.get(run_id, {}).get("text", "")) > 20, "some text")
        await reader.close()
        await client.ended(run_id)
        await reader.open(at=stack.webs[1].url)
        run = await reader.sees_end_of(run_id)
        assert run["text"] == "".join(f"tok{n} " for n in range(60))
        assert reader.snapshots == 1, "what was missed came as events"


@pytest.mark.parametrize("last", ["nonsense", "0123456789abcdef.7", ".", "x" * 500, "abc.-1", "é.1"])
async def test_an_id_of_no_log_gets_a_snapshot(stack: Stack, last: str) -> None:
    async with owner(stack) as (alice, _, conversation), reading(alice, conversation) as (reader, _):
        await reader.open(last=last)
        await snapshot_at(reader)


async def test_names_and_thinking_where_the_link_says_so(stack: Stack) -> None:
    async with owner(stack) as (alice, client, conversation), contextlib.AsyncExitStack() as readers:
        shown, _ = await readers.enter_async_context(reading(alice, conversation, names="1", reasoning="1"))
        hidden, _ = await readers.enter_async_context(reading(alice, conversation, names="0", reasoning="0"))
        for one in (shown, hidden):
            await one.open()
            await snapshot_at(one)
        accepted = await client.say("Think [[reasoning=12 tokens=6]]", conversation)
        for one in (shown, hidden):
            await one.sees_end_of(accepted["run_id"])
        assert shown.runs[accepted["run_id"]]["reasoning"]
        assert "Alice" in json.dumps(shown.events)
        assert not hidden.runs[accepted["run_id"]]["reasoning"]
        assert "run.reasoning" not in json.dumps(hidden.events)
        assert "run.reasoning" in json.dumps(shown.events)
        [alice_id] = [row["id"] for row in stack.sql("SELECT id FROM accounts_user WHERE email = 'alice@example.org'")]
        for secret in ("Alice", '"author":{', '"reasoning":'):
            assert secret not in json.dumps(hidden.events, separators=(",", ":")), secret
        for private in (str(alice_id), "usage", "cost", "parameters", "client_id", "context"):
            assert private not in json.dumps([shown.events, hidden.events]), private


async def test_another_branch_is_seen_and_the_old_one_no_more(stack: Stack) -> None:
    async with owner(stack) as (alice, client, conversation), reading(alice, conversation) as (reader, _):
        asked = await client.say("My address is 1 Canary Row [[tokens=3]]", conversation)
        await client.ended(asked["run_id"])
        await reader.open()
        await snapshot_at(reader)
        await reader.close()
        edited = await client.ask(
            "message.edit", message_id=asked["message_id"], client_id=str(uuid.uuid4()), text="Never mind [[tokens=3]]"
        )
        await client.ended(edited["run_id"])
        await reader.open()
        await reader.until(lambda: reader.snapshots == 2, "a snapshot of the other branch")
        assert "Canary" not in json.dumps(reader.messages)
        late = Watcher(reader.http, reader.url)
        await late.open()
        await late.until(lambda: late.snapshots, "a snapshot")
        assert "Canary" not in json.dumps(late.events)
        await late.close()


async def test_revoked_with_five_hundred_readers(stack: Stack) -> None:
    async with owner(stack) as (alice, _, conversation), reading(alice, conversation) as (first, link):
        readers = [Watcher(first.http, first.url) for _ in range(500)]
        for start in range(0, len(readers), 100):
            await asyncio.gather(
                *(one.open(at=stack.webs[number % 2].url) for number, one in enumerate(readers[start : start + 100]))
            )
        assert {one.status for one in readers} == {200}
        for one in readers:
            await snapshot_at(one)
        revoked = time.monotonic()
        await alice.post(f"/c/{conversation}/shares/{link}/revoke/")
        await asyncio.gather(*(one.closed() for one in readers))
        assert {one.ended for one in readers} == {"link_ended"}
        await asyncio.gather(*(one.close() for one in readers))
        latest = max(one.times[-1] for one in readers) - revoked
        print(f"500 streams ended within {latest:.2f} s")
        await first.open()
        assert first.status == 404


async def test_it_ends_with_the_conversation_and_with_the_owner(stack: Stack) -> None:
    async with owner(stack) as (alice, _, conversation), reading(alice, conversation) as (reader, _):
        await reader.open()
        await snapshot_at(reader)
        await alice.post(f"/c/{conversation}/delete/")
        await reader.closed()
        assert reader.ended == "link_ended"
    email = stack.add_user("Carol")
    async with session(stack.url, email) as carol:
        client = await carol.connect()
        accepted = await client.say("Hello [[tokens=2]]")
        await client.ended(accepted["run_id"])
        async with reading(carol, accepted["conversation_id"]) as (reader, _):
            await reader.open()
            await snapshot_at(reader)
            script = (
                "from datetime import timedelta; from django.utils import timezone; from accounts import suspension; "
                "from accounts.models import User; "
                f"suspension.suspend(User.objects.get(email={email!r}), timezone.now() + timedelta(days=1), 'x')"
            )
            stack.manage("shell", "--no-imports", "-c", script)
            await reader.closed()
            assert reader.ended == "link_ended"
            await reader.open()
            assert reader.status == 404


async def test_it_expires(stack: Stack) -> None:
    async with owner(stack) as (alice, _, conversation), reading(alice, conversation) as (reader, link):
        stack.sql("UPDATE chat_sharelink SET expires_at = now() + interval '3 seconds' WHERE id = %s", link)
        await reader.open()
        await snapshot_at(reader)
        await reader.closed()
        assert reader.ended == "link_ended"


async def test_a_reader_with_an_account_is_cut_off_by_the_log_out(stack: Stack) -> None:
    email = stack.add_user("Dave")
    async with owner(stack) as (alice, _, conversation), session(stack.url, email, fresh=True) as dave:
        made = await share(alice, conversation, audience="users", password="")
        async with watcher(made["url"]) as nobody:
            await nobody.open()
            assert nobody.status == 403, "not logged in"
        async with watcher(made["url"], http=dave.http) as reader:
            await reader.open()
            await snapshot_at(reader)
            answer = await dave.post("/accounts/logout/")
            assert answer.status == 302
            await reader.closed()
            assert reader.ended == "logged_out"


async def test_members_see_how_many_watch(stack: Stack) -> None:
    async with owner(stack) as (alice, client, conversation), reading(alice, conversation) as (reader, _):
        others = [Watcher(reader.http, reader.url) for _ in range(2)]
        for number, one in enumerate(others):
            await one.open(at=stack.webs[number].url)
        await client.next("audience", watchers=2)
        for one in others:
            await one.close()
        await client.next("audience", watchers=0)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 405), ("DELETE", 405)])
async def test_other_methods(stack: Stack, method: str, status: int) -> None:
    async with owner(stack) as (alice, _, conversation), reading(alice, conversation) as (reader, _):
        answer = await reader.http.request(method, reader.url)
        assert (answer.status, await answer.read()) == (status, b"" if method == "HEAD" else b"405\n")
        if method == "HEAD":
            assert answer.headers["Content-Type"].startswith("text/event-stream")
        answer.close()


async def test_a_reader_that_never_reads_is_cut_and_others_are_not(stack: Stack) -> None:
    slow_web = stack.webs[1]  # with a short SOCKET_SLOW_SECONDS
    async with owner(stack) as (alice, client, conversation), reading(alice, conversation) as (reader, _):
        address = reader.url.removeprefix(alice.url)
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", slow_web.port))
        deaf.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.open(at=slow_web.url)
        await snapshot_at(reader)
        for number in range(40):
            accepted = await client.say(f"Much {number} [[tokens=400 rate=100000 size=400]]", conversation)
            await client.ended(accepted["run_id"], seconds=30)
            await reader.sees_end_of(accepted["run_id"])
            if "watchers_cut_total 1" in await metrics_of(slow_web):
                break
            await asyncio.sleep(0.2)
        else:
            raise AssertionError("the reader that reads nothing was not cut")
        assert reader.is_open
        deaf.close()


async def metrics_of(web: Any) -> str:
    async with aiohttp.ClientSession() as http, http.get(web.url + "/metrics") as answer:
        return await answer.text()


async def test_at_a_deploy_streams_end_without_a_word_and_resume_elsewhere(stack: Stack) -> None:
    async with owner(stack) as (alice, client, conversation), reading(alice, conversation) as (reader, _):
        await reader.open(at=stack.webs[1].url)
        await snapshot_at(reader)
        accepted = await client.say("Long [[tokens=80 rate=40]]", conversation)
        await reader.until(lambda: reader.runs.get(accepted["run_id"], {}).get("text"), "some text")
        stack.webs[1].kill(signal.SIGTERM)
        await reader.closed()
        assert not reader.ended
        await reader.open(at=stack.url)
        run = await reader.sees_end_of(accepted["run_id"])
        assert run["text"] == "".join(f"tok{n} " for n in range(80))
        assert reader.snapshots == 1
        assert stack.webs[1].wait() == 0
        stack.webs[1].restart()


async def test_the_token_is_in_no_log(stack: Stack) -> None:
    async with owner(stack) as (alice, _, conversation), reading(alice, conversation) as (reader, link):
        await reader.open()
        await snapshot_at(reader)
        await alice.post(f"/c/{conversation}/shares/{link}/revoke/")
        await reader.closed()
        token = reader.url.split("/s/")[1].split("/")[0]
        async with reader.http.get(f"{alice.url}/s/{token}x") as page:
            assert page.status == 404
        stack.webs[0].await_output("GET /s/\\u2026/events")
        assert not any(token in web.output() for web in stack.webs)
