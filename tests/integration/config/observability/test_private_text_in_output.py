"""No output of a whole life shows what people or models wrote, or a secret: every process's log at DEBUG, pages for
machines, traces, mails, files beside the database, what lies in Redis, and the admin for staff who may not read.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis
from yarl import URL

from tests.client import session
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_recognisers import recogniser
from tests.fakes.asr_speech import silence, utterance
from tests.fakes.collector import Collector
from tests.fakes.mcp_server import running
from tests.fakes.notebook import Notebook
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.config.observability.tools_and_mails import (
    ENDPOINT_KEY,
    TOOL_KEY,
    Mailbox,
    add_servers,
    call_tools,
    forget_password,
    mailbox,
    use_links,
    written_under,
)
from tests.integration.workers.speech.recordings import recording
from tests.stack import PASSWORD, Stack, run_stack

KEY = "sk-canary-5d1c2f9e7a"
WORDS = "canarywords-3f9b"
NAME = "Canaryname-77c1"  # Alice's: staff, other members and what is kept for them may have it, no output of a process
SAM = f"""
from accounts.models import User
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Permission
sam = User.objects.create_user("sam@example.org", {PASSWORD!r}, name="Sam", is_staff=True)
EmailAddress.objects.create(user=sam, email=sam.email, primary=True, verified=True)
sam.user_permissions.set(Permission.objects.filter(codename__in=["view_conversation", "view_message", "view_run"]))
"""


async def live_through(stack: Stack, notebook: Notebook, box: Mailbox) -> tuple[dict[str, str], dict[str, str]]:
    """A run in which much goes well and much goes wrong. Returns what must not be seen, by what it is, and pages that
    say what was wrong.
    """
    stack.sql("UPDATE accounts_user SET name = %s WHERE email = 'alice@example.org'", NAME)
    async with session(stack.url, "alice@example.org", fresh=True) as alice:
        client = await alice.connect()
        told = {"system_prompt": f"{WORDS}, always", "tools": []}
        prompted = await client.say(f"{WORDS} [[tokens=3]]", options=told)
        await client.ended(prompted["run_id"])
        await client.ask("message.rate", message_id=prompted["message_id"], value=-1, note=WORDS)
        await client.ask("message.edit", message_id=prompted["message_id"], client_id=WORDS, text=WORDS)
        accepted = await client.say(f"{WORDS} [[tokens=20 rate=200]]")
        await client.ended(accepted["run_id"])
        conversation = accepted["conversation_id"]
        await call_tools(client, notebook, WORDS)
        links = await use_links(alice, conversation) | await forget_password(stack, box)
        quoted = f'said="Not allowed: {WORDS}"'
        for fault in (f"status=400 {quoted}", f"status=500 {quoted}", f"error=3 {quoted}", f"error=0 {quoted}",
                      "status=401 echo_key=true", "status=500", "cut=3", "garbage=3", "error=3"):  # fmt: skip
            failed = await client.say(f"{WORDS} [[{fault}]]")
            await client.ended(failed["run_id"])
        await client.say(f"{WORDS} again [[tokens=40 rate=20]]", conversation, client_id=str(uuid.uuid4()))
        await client.say(f"{WORDS} in the line", conversation, when_busy="queue")
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
        errors: dict[str, str] = {}
        async with alice.http.get(f"{stack.url}/nowhere/?q={WORDS}&ticket={ticket}") as answer:
            assert answer.status == 404
            errors["the page of an address that does not exist"] = await answer.text()
        data = aiohttp.FormData()
        data.add_field("file", f"{WORDS} is no JSON", filename=f"{WORDS}.json")
        async with alice.http.post(f"{stack.url}/prompts/import/", data=data) as answer:  # without a token
            assert answer.status == 403
            errors["an upload that is refused"] = await answer.text()
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
    spoken = await speak_up(stack)
    secret = links | {
        "what a person wrote": WORDS,
        "what the model wrote": "tok7 ",
        "what a person said": spoken,
        "the password": PASSWORD,
        "the model's key": KEY,
        "an endpoint's key": ENDPOINT_KEY,
        "a tool server's key": TOOL_KEY,
        "a ticket": ticket,
        "a used ticket": used,
        "the session": next(value for name, value in cookies.items() if name.endswith("sessionid")),
        "the site's key": stack.env["SECRET_KEY"],
        "the database's password": stack.postgres.password,
    }
    return secret, errors


async def speak_up(stack: Stack) -> str:
    """Somebody speaks, and what was heard is sent."""
    async with session(stack.url, "bob@example.org", fresh=True) as bob:
        client = await bob.connect()
        speaker = await recording(client, auto_send=True)
        await speaker.say(silence(200) + utterance(SENTENCES[0]) + silence(900))
        final = await client.next("transcript.final", seconds=30)
        await speaker.stop()
        await client.close()
    assert len(final["text"]) > 10
    return str(final["text"])


async def look_at_the_admin(stack: Stack) -> dict[str, str]:
    """What staff see who may look at everything but at what was written."""
    stack.manage("shell", "--no-imports", "-c", SAM)
    pages: dict[str, str] = {}
    async with session(stack.url, "sam@example.org", fresh=True) as sam:
        for model in ("conversation", "message", "run"):
            path = f"/admin/chat/{model}/"
            rows = stack.sql(f"SELECT id FROM chat_{model} ORDER BY created_at LIMIT 5")  # noqa: S608 -- three names
            for place in (path, *(f"{path}{row['id']}/change/" for row in rows)):
                async with sam.http.get(stack.url + place) as page:
                    assert page.status == 200, (place, page.status)
                    pages[place] = await page.text()
    return pages


def look_into_redis(stack: Stack) -> dict[str, str]:
    """Every key with its value, as text. Conversations' logs and audio on its way are what Redis is there for."""
    readers: dict[bytes, Any] = {
        b"string": lambda client, key: client.get(key),
        b"hash": lambda client, key: client.hgetall(key),
        b"list": lambda client, key: client.lrange(key, 0, -1),
        b"set": lambda client, key: client.smembers(key),
        b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
        b"stream": lambda client, key: client.xrange(key),
    }
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as client:
        found = {key: readers[client.type(key)](client, key) for key in client.scan_iter(count=1000)}
    return {key.decode(errors="replace"): f"{key!r} {value!r}" for key, value in found.items()}


@pytest.mark.timeout(180)
async def test_nothing_secret_is_in_any_output(tmp_path: Path) -> None:
    notebook = Notebook()
    with (
        FakeOpenAI() as upstream, FakeOpenAI(api_key=ENDPOINT_KEY, models=["second"]) as second,
        Collector() as collector, recogniser(tmp_path) as asr, running(notebook.app()) as api, mailbox() as box,
    ):  # fmt: skip
        env: dict[str, Any] = {
            "OPENAI_BASE_URL": upstream.url,
            "OPENAI_API_KEY": KEY,
            "CHAT_MODELS": "small",
            "WORKER_METRICS_PORT": "0",
            "SECRET_KEY": f"canary-{secrets.token_hex(24)}",
            "LOG_LEVEL": "DEBUG",
            **asr.env,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(box.port),
        }
        with run_stack(web=1, workers=1, beat=True, env=env) as stack:
            add_servers(stack, api.origin, second.url)
            canaries, errors = await live_through(stack, notebook, box)
            outputs = errors | await look_at_the_admin(stack)
            mails = box.text()
            files = written_under(stack)
            kept = look_into_redis(stack)
            processes = {process.name: process.output() for process in stack.processes}
            processes["traces"] = b"".join(collector.raw).decode(errors="replace")
            outputs |= processes
            [line] = [line for line in stack.workers[0].output().splitlines() if '"event": "metrics_served"' in line]
            outputs["worker's metrics"] = fetch(json.loads(line)["port"], "/metrics")
            for path in ("/metrics", "/readyz"):
                outputs[path] = fetch(stack.webs[0].port, path)
            for command in ("doctor", "health"):
                try:
                    outputs[command] = stack.manage(command, f"--url={stack.url}")
                except AssertionError as warned:  # it ends with 1 over the demo settings; what it said counts
                    outputs[command] = str(warned)
    assert {span.name for span in collector.spans} >= {"message.send", "audio.start", "run", "recording", "deliver"}
    assert '"level": "debug"' in outputs["worker1"]
    seen: list[str] = []
    for name, text in outputs.items():
        assert text, f"{name} said nothing at all, so it proves nothing"
        for what, canary in canaries.items():
            if canary in text:
                at = text.index(canary)
                seen.append(f"{what} is in the output of {name}: {text[max(0, at - 150) : at + 60]!r}")
        if name in processes and NAME in text:
            seen.append(f"a display name is in the output of {name}: {text[max(0, text.index(NAME) - 200) :][:260]!r}")
    assert files
    for place, text in [*files.items(), ("mails", mails)]:
        seen += [
            f"{what} is in {place}"
            for what, canary in canaries.items()
            if canary in text and (place, what) != ("mails", "a reset link's secret")
        ]
    written = {"what a person wrote", "what the model wrote", "what a person said"}
    assert any(key.startswith("log:") for key in kept)
    for key, text in kept.items():
        for what, canary in canaries.items():
            if canary in text and not (what in written and re.match(r"log:[0-9a-f]{32}$", key)):
                seen.append(f"{what} is in Redis under {key}")
    assert not seen, "\n".join(seen)
    ended = [json.loads(line) for line in outputs["worker1"].splitlines() if '"run_ended"' in line]
    assert ended
    context = {"run", "conversation", "user", "trace", "first_token_ms", "total_ms"}
    assert all(context <= set(line) for line in ended)
    heard = [json.loads(line) for line in outputs["worker1"].splitlines() if '"recording_ended"' in line]
    assert heard
    assert all({"recording", "user", "trace"} <= set(line) for line in heard)
    refused = [line for line in outputs["web1"].splitlines() if "command_failed" in line]
    assert all({"connection", "user"} <= set(json.loads(line)) for line in refused)


def fetch(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
