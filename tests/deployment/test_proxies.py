"""Each proxy of deploy/proxies before a site: pages, sockets, streams, large bodies, addresses, secrets, a deploy."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import time
import uuid

import aiohttp
import pytest

from tests.chaos.driving import answer
from tests.client import Client, Session, session
from tests.client_view import View
from tests.deployment.closing import let_connections_close
from tests.deployment.conftest import NEWER
from tests.deployment.sites import Site
from tests.integration.chat.realtime.share_readers import share, snapshot_at
from tests.watching import Watcher

__all__ = ["let_connections_close"]  # for the tests here
pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(180)]


async def test_pages_come_over_https_only(site: Site) -> None:
    async with aiohttp.ClientSession() as http:
        plain = await http.get(f"http://localhost:{site.proxy.http_port}/accounts/login/?next=/", allow_redirects=False)
        assert plain.status in (301, 308)
        assert plain.headers["Location"].startswith("https://localhost")
        assert plain.headers["Location"].endswith("/accounts/login/?next=/")
        page = await http.get(f"{site.url}/accounts/login/", ssl=site.trust)
        assert page.status == 200, await page.text()
        assert "max-age=31536000" in page.headers["Strict-Transport-Security"]
        cookies = page.headers.getall("Set-Cookie")
        assert cookies
        assert all("Secure" in cookie and cookie.startswith("__Host-") for cookie in cookies)
        for path in ("/metrics", "/readyz", "/livez"):
            assert (await http.get(site.url + path, ssl=site.trust)).status == 404, path


async def test_checks_of_the_settings_and_of_the_running_site_agree(site: Site) -> None:
    """Django's `check --deploy`, the doctor, which asks the web process, and `check_deploy`, which asks all of them."""
    clean = await asyncio.to_thread(site.stack.commands.run, "check", "--deploy", "--fail-level=WARNING")
    assert clean.code == 0, clean.out
    for command, names in (
        (("doctor", f"--url={site.stack.webs[0].url}"), ("settings", "https")),
        (("check_deploy",), ("processes", "same settings")),
    ):
        done = await asyncio.to_thread(site.stack.commands.run, *command, "--json")
        found = {one["name"]: (one["level"], one["said"]) for one in json.loads(done.out)["findings"]}
        assert [found[name] for name in names if found[name][0] != "ok"] == [], found


async def test_a_file_that_only_one_version_has_is_found(site: Site) -> None:
    """Caddy cannot ask another process for it (docs/operations.md)."""
    async with aiohttp.ClientSession() as http:
        pages = [await http.get(f"{site.url}/static/{NEWER}", ssl=site.trust) for _ in range(12)]
        missing = await http.get(f"{site.url}/static/nowhere.js", ssl=site.trust)
    found = {page.status for page in pages}
    assert found == ({200, 404} if site.proxy.program == "caddy" else {200}), found
    assert missing.status == 404


async def test_an_answer_streams_and_any_process_resumes_it(site: Site) -> None:
    """Sockets are spread over the processes, and no stickiness is needed."""
    async with session(site.url, trust=site.trust) as alice:
        views: dict[str, View] = {}
        client = await alice.connect(views=views)
        accepted = await client.say("Long [[tokens=120 rate=40]]")
        run_id = accepted["run_id"]
        await client.shows(run_id, 30)
        assert len({round(at, 1) for at in client.times[-10:]}) > 1, "frames come one by one, not in blocks"
        position = {"epoch": views[accepted["conversation_id"]].epoch, "seq": views[accepted["conversation_id"]].seq}
        await client.drop()
        client = await alice.connect(views=views)
        await client.send("subscribe", conversation_id=accepted["conversation_id"], position=position)
        run = await client.ended(run_id)
        assert (run["ended"], run["text"]) == ("run.done", answer(120))
        others = [await alice.connect() for _ in range(6)]
        assert all(site.sockets_opened()), "both processes have sockets"
        for one in (client, *others):
            await one.close()


async def test_a_deploy_of_both_processes_loses_nothing(site: Site) -> None:
    """One after the other is stopped and started while an answer streams; pages are served all the time."""
    async with session(site.url, trust=site.trust) as alice:
        views: dict[str, View] = {}
        client = await alice.connect(views=views)
        accepted = await client.say("Long [[tokens=400 rate=40]]")
        over = asyncio.Event()
        pages = asyncio.create_task(_load_pages(alice, over))
        for web in site.stack.webs:
            web.kill(signal.SIGTERM)
            while client.close_code is None and not web.has_ended():
                await asyncio.sleep(0.05)
            if client.close_code is not None:
                client = await _resume(alice, client, accepted["conversation_id"])
            await asyncio.to_thread(web.wait, 30)
            web.start()
            await asyncio.to_thread(web.await_ready)
            await asyncio.sleep(2.5)  # health checks and `fail_timeout` have seen it
        run = await client.ended(accepted["run_id"], 40)
        assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 1, answer(400))
        over.set()
        statuses = await pages
        assert set(statuses) == {200}, statuses
        assert len(statuses) >= 4, "pages were loaded all the time"
        await client.close()


async def test_a_live_share_streams_unbuffered_and_its_secret_is_in_no_log(site: Site) -> None:
    async with session(site.url, trust=site.trust) as alice:
        client = await alice.connect()
        accepted = await client.say("Begin [[tokens=3]]")
        await client.ended(accepted["run_id"])
        made = await share(alice, accepted["conversation_id"])
        page = await alice.http.get(made["url"])
        assert page.status == 200
        secret = made["url"].split("/s/")[1].strip("/")
        reader = Watcher(alice.http, f"{site.url}/s/{secret}/events")
        await reader.open()
        assert reader.status == 200
        await snapshot_at(reader)
        more = await client.say("More [[tokens=60 rate=40]]", accepted["conversation_id"])
        run = await reader.sees_end_of(more["run_id"])
        assert run["text"] == answer(60)
        assert reader.times[-1] - reader.times[0] > 0.5, "it came as it was written"
        await reader.close()
        await client.close()
        searched = uuid.uuid4().hex
        await alice.http.get(f"{site.url}/?q={searched}")
        await alice.http.get(f"{site.url}/accounts/confirm-email/{searched}/")
    await asyncio.sleep(1)
    log = site.proxy.output()
    assert "/s/***" in log, log[-2000:]
    assert secret not in log
    assert searched not in log


async def test_large_bodies_pass_and_too_large_ones_are_refused_by_the_program(site: Site) -> None:
    async with session(site.url, trust=site.trust) as alice:
        status, text = await _upload(alice, b"{" + b" " * (30 << 20))
        assert status in (200, 400), (status, text)  # it arrived: more than MAX_REQUEST_MB, where files are imported
        status, _ = await _upload(alice, b" " * (21 << 20), "/ws/ticket/")
        assert status == 413


async def test_the_address_is_the_clients_own(site: Site) -> None:
    """What a client says in X-Forwarded-For is not believed, nor what it says of https."""
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "X-Real-IP": "203.0.113.9"}
    mark = f"/no-such-page-{uuid.uuid4().hex}/"
    async with aiohttp.ClientSession() as http:
        reply = await http.get(site.url + mark, ssl=site.trust, headers=headers, allow_redirects=False)
    assert reply.status == 404, "not redirected to where it is"
    await asyncio.sleep(0.5)
    [line] = [
        line for web in site.stack.webs for line in web.output().splitlines() if mark in line and "access" in line
    ]
    assert '"client": "127.0.0.1:0"' in line, line  # without a port: as the proxy says


async def _load_pages(alice: Session, over: asyncio.Event) -> list[int]:
    statuses = []
    while not over.is_set():
        async with alice.http.get(f"{alice.url}/accounts/login/", allow_redirects=True) as page:
            await page.read()
            statuses.append(page.status)
        await asyncio.sleep(0.1)
    return statuses


async def _resume(alice: Session, before: Client, conversation: str) -> Client:
    """As a page does: again and again until a process takes it."""
    view, deadline = before.views[conversation], time.monotonic() + 20
    while True:
        try:
            client = await alice.connect(views=before.views)
        except (aiohttp.ClientError, ConnectionError, AssertionError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.3)
            continue
        await client.send("subscribe", conversation_id=conversation, position={"epoch": view.epoch, "seq": view.seq})
        return client


async def _upload(alice: Session, body: bytes, path: str = "/imports/new/") -> tuple[int, str]:
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(body), filename="chats.json", content_type="application/json")
    headers = {"X-CSRFToken": alice._token(), "Referer": alice.url + "/", "Origin": alice.url}
    try:
        async with alice.http.post(alice.url + path, data=form, headers=headers, allow_redirects=False) as reply:
            return reply.status, (await reply.text())[:500]
    except (aiohttp.ClientError, ConnectionError) as error:  # refused before all of it was sent
        return 413, repr(error)
