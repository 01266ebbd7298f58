"""No output of a whole run shows what people or models wrote, or a secret: logs of every process, machines' pages."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import uuid
from typing import Any

import aiohttp
from yarl import URL

from tests.client import session
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import PASSWORD, Stack, run_stack

KEY = "sk-canary-5d1c2f9e7a"
WORDS = "canarywords-3f9b"


async def live_through(stack: Stack) -> dict[str, str]:
    """A run in which much goes well and much goes wrong. Returns what must not be seen, by what it is."""
    async with session(stack.url, "alice@example.org", fresh=True) as alice:
        client = await alice.connect()
        accepted = await client.say(f"{WORDS} [[tokens=20 rate=200]]")
        await client.ended(accepted["run_id"])
        conversation = accepted["conversation_id"]
        for fault in ("status=401 echo_key=true", "status=500", "cut=3", "garbage=3", "error=3"):
            failed = await client.say(f"{WORDS} [[{fault}]]")
            await client.ended(failed["run_id"])
        await client.say(f"{WORDS} again", conversation, client_id=str(uuid.uuid4()))
        await client.ask("message.send", text=f"{WORDS}\x00", nonsense=WORDS)
        await client.ask("typing", conversation_id=str(uuid.uuid4()))
        ticket = await alice.ticket()
        cookies = {name: cookie.value for name, cookie in alice.http.cookie_jar.filter_cookies(URL(stack.url)).items()}
        used = await alice.ticket()
        for _ in range(2):  # the second time it is refused
            try:
                ws = await alice.http.ws_connect(
                    stack.url.replace("http", "ws", 1) + "/ws/",
                    protocols=("chat.v1", f"ticket.{used}"),
                    origin=stack.url,
                )
                await ws.close()
            except aiohttp.WSServerHandshakeError:
                pass
        async with alice.http.get(f"{stack.url}/nowhere/?q={WORDS}&ticket={ticket}") as answer:
            assert answer.status == 404
        async with alice.http.get(f"{stack.url}/c/{conversation}/") as answer:
            await answer.read()
        # A password that is wrong by a letter, and a worker that dies over an answer.
        async with aiohttp.ClientSession() as stranger, stranger.get(f"{stack.url}/accounts/login/") as page:
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', await page.text())
            assert token is not None
            form = {"login": "alice@example.org", "password": PASSWORD + "x", "csrfmiddlewaretoken": token[1]}
            async with stranger.post(f"{stack.url}/accounts/login/", data=form, headers={"Origin": stack.url}) as tried:
                await tried.read()
        stack.redis.kill()
        lost = await client.say(f"{WORDS} while Redis is away")
        assert lost["type"] == "error"
        stack.redis.start()
        await client.close()
    return {
        "what a person wrote": WORDS,
        "what the model wrote": "tok7 ",
        "the password": PASSWORD,
        "the model's key": KEY,
        "a ticket": ticket,
        "a used ticket": used,
        "the session": next(value for name, value in cookies.items() if name.endswith("sessionid")),
        "the site's key": stack.env["SECRET_KEY"],
        "the database's password": stack.postgres.password,
    }


async def test_nothing_secret_is_in_any_output() -> None:
    with FakeOpenAI() as upstream:
        env: dict[str, Any] = {
            "OPENAI_BASE_URL": upstream.url,
            "OPENAI_API_KEY": KEY,
            "CHAT_MODELS": "small",
            "WORKER_METRICS_PORT": "0",
            "SECRET_KEY": f"canary-{secrets.token_hex(24)}",
        }
        with run_stack(web=1, workers=1, env=env) as stack:
            canaries = await live_through(stack)
            outputs = {process.name: process.output() for process in stack.processes}
            for path in ("/metrics", "/readyz"):
                outputs[path] = fetch(stack.webs[0].port, path)
            for command in ("doctor", "health"):
                try:
                    outputs[command] = stack.manage(command, f"--url={stack.url}")
                except AssertionError as warned:  # it ends with 1 over the demo settings; what it said counts
                    outputs[command] = str(warned)
    for name, text in outputs.items():
        assert text, f"{name} said nothing at all, so it proves nothing"
        for what, canary in canaries.items():
            assert canary not in text, f"{what} is in the output of {name}"
    ended = [json.loads(line) for line in outputs["worker1"].splitlines() if '"run_ended"' in line]
    assert ended
    assert all({"run", "conversation", "first_token_ms", "total_ms"} <= set(line) for line in ended)
    refused = [line for line in outputs["web1"].splitlines() if "command_failed" in line]
    assert all({"connection", "user"} <= set(json.loads(line)) for line in refused)


def fetch(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
