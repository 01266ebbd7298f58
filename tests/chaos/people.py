"""Who lives through a random history: two people at their pages, a hand in the database, and whoever restarts things.

Whatever is away, a page does what the page of the product does: it comes back, elsewhere if need be, resumes what it
had open, and sends again what nobody has answered.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

import aiohttp
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.stack.valkey import PrivateValkey
from tests.chaos.driving import Scene
from tests.client import Client, Session, session
from tests.client_view import View
from tests.stack import ROOT, Process, Stack

AWAY_SECONDS = 30.0  # seconds until a page gives up, which no history allows
AWAY = (aiohttp.ClientError, OSError, TimeoutError)


class Hand:
    """A `manage.py shell` that stays open: does in the database what an administrator does there."""

    SCRIPT = (
        "import sys, traceback\n"
        "from accounts.models import User\nfrom chat.models import Member\n"
        "from accounts.lib.redis import sync_redis\n"
        "for line in sys.stdin:\n"
        "    try:\n        exec(line)\n        print('done', flush=True)\n"
        "    except Exception as error:\n        print('failed', repr(error), flush=True)\n"
    )

    def __init__(self, stack: Stack) -> None:
        self.process = subprocess.Popen(  # ends when its input does, so with this process
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", self.SCRIPT],
            cwd=ROOT, env=stack.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def do(self, statement: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()
        while not (said := self.process.stdout.readline()).startswith(("done", "failed")):
            assert said, "the hand is gone"
        assert said.startswith("done"), said

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@dataclass
class Page:
    """A browser tab: what it shows, and its socket while it has one."""

    user: str
    views: dict[str, View] = field(default_factory=dict)
    client: Client | None = None
    lost: set[str] = field(default_factory=set)  # conversations this person may see no longer


class Browser:
    """A person's session, which any web process serves. `session` logs in on first use."""

    trust: SSLContext | None = None  # whose certificates it accepts, behind a proxy

    def __init__(self, stack: Stack, email: str) -> None:
        self.stack = stack
        self.email = email
        self.http: aiohttp.ClientSession | None = None
        self._open: Any = None

    async def at(self, url: str) -> Session:
        if self.http is None:
            self._open = session(url, self.email, fresh=True, trust=self.trust)
            self.http = (await self._open.__aenter__()).http
        return Session(url, self.http)

    async def close(self) -> None:
        opened, self._open, self.http = self._open, None, None
        if opened is not None:
            await opened.__aexit__(None, None, None)


async def patiently(attempt: Any, what: str) -> Any:
    """Tries until it works, as long as what is wrong is that something is away; its value."""
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            found = await attempt()
        except AWAY as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: away for {AWAY_SECONDS} s: {error!r}") from error
        except AssertionError as error:  # a page or ticket answered 503, or a proxy found nobody
            if not any(code in str(error) for code in ("502", "503", "504")) or time.monotonic() > deadline:
                raise
        else:
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {AWAY_SECONDS} s")
        await asyncio.sleep(0.1)


class World:
    """What one history plays in."""

    def __init__(self, stack: Stack, here: Scene, hand: Hand) -> None:
        self.stack = stack
        self.here = here
        self.hand = hand
        self.browsers = {name: Browser(stack, f"{name}@example.org") for name in ("alice", "bob")}
        self.pages = [Page("alice"), Page("alice"), Page("bob")]
        self.turn = 0
        self.going: set[str] = set()  # processes that were asked to end
        self.starting: dict[str, float] = {}  # web process → when it was started again

    def any_web(self) -> str:
        """The address of a web process that answers, another each time where there are several."""
        now = time.monotonic()
        for web in self.stack.webs:
            if web.has_ended():
                self.start_again(web)
        ready = [
            web for web in self.stack.webs if self.starting.get(web.name, 0.0) < now or web.status("/livez") == 200
        ]
        for web in ready:
            self.starting.pop(web.name, None)
        self.turn += 1
        return (ready or self.stack.webs)[self.turn % len(ready or self.stack.webs)].url

    async def socket(self, page: Page) -> Client:
        """The page's socket; one that lost it comes back and resumes what it had open."""
        if page.client is not None and page.client.close_code is None:
            return page.client

        async def come_back() -> Client:
            url = await asyncio.to_thread(self.any_web)
            client = await (await self.browsers[page.user].at(url)).connect(views=page.views, short=bool(self.turn % 2))
            self.here.clients.append(self.here.history.watch(client, page.user))
            for one, view in list(page.views.items()):
                if one in page.lost:
                    continue
                position = {"epoch": view.epoch, "seq": view.seq}
                reply = await client.ask("subscribe", conversation_id=one, position=position)
                if reply.get("code") == "unavailable":
                    await client.drop()
                    raise ConnectionError("not resumed")
                assert reply["type"] == "subscribed", (page.user, one, reply)
            return client

        page.client = await patiently(come_back, f"{page.user} comes back")
        return page.client

    async def ask(self, page: Page, kind: str, **fields: Any) -> dict[str, Any]:
        """A command, sent again until somebody has answered it."""

        async def attempt() -> dict[str, Any] | None:
            client = await self.socket(page)
            reply = await client.ask(kind, **fields)
            return None if reply.get("code") == "unavailable" else reply

        reply: dict[str, Any] = await patiently(attempt, f"{page.user}: {kind}")
        return reply

    # --- who may see what ---------------------------------------------------------------------------------------

    async def invite(self, page: Page, conversation: str, *, resumes: bool = False) -> None:
        """Makes somebody a member, perhaps once more; the past of the conversation is shared with them, also what came
        while they were none. `resumes`: their page goes on from where it was, as if it had never been away.
        """
        self.here.history.admit(page.user, conversation)
        await self.tell_hand(
            f"Member.objects.get_or_create(conversation_id={conversation!r}, "
            f"user=User.objects.get(email={page.user + '@example.org'!r}), defaults={{'role': 'editor'}})"
        )
        page.lost.discard(conversation)
        view = page.views.get(conversation) if resumes else None
        position = {"position": {"epoch": view.epoch, "seq": view.seq}} if view is not None and view.epoch else {}
        reply = await self.ask(page, "subscribe", conversation_id=conversation, **position)
        assert reply["type"] == "subscribed", reply

    async def remove(self, page: Page, conversation: str) -> None:
        """Takes a membership away; within 2 s nothing of it comes any more (I8)."""
        page.lost.add(conversation)
        await self.tell_hand(
            f"Member.objects.get(conversation_id={conversation!r}, user__email={page.user + '@example.org'!r}).delete()"
        )
        self.here.history.revoke(page.user, conversation)
        reply = await self.ask(
            page, "message.send", conversation_id=conversation, client_id=str(uuid.uuid4()), text="?"
        )
        assert reply.get("code") == "not_found", reply

    async def end_session(self, page: Page, *, barred: bool) -> None:
        """Logs out at a page, or is switched off; the sockets close with 4401 and a new browser begins anew."""
        client = await self.socket(page)
        if barred:
            for state in (False, True):
                await self.tell_hand(
                    f"user = User.objects.get(email={page.user + '@example.org'!r}); "
                    f"user.is_active = {state}; user.save()"
                )
        else:

            async def leave() -> bool:
                at = await self.browsers[page.user].at(await asyncio.to_thread(self.any_web))
                answer = await at.post("/accounts/logout/")
                assert answer.status == 302, answer.status
                return True

            await patiently(leave, "logging out")
        self.here.history.revoke(page.user)
        assert await client.closed(6) in (4401, 4000, 1006), client.close_code
        await self.browsers[page.user].close()
        page.client, page.views = None, {}

    async def tell_hand(self, statement: str) -> None:
        await asyncio.to_thread(self.hand.do, statement)

    # --- what breaks --------------------------------------------------------------------------------------------

    def start_again(self, process: Process) -> None:
        """Does not wait until it is ready."""
        self.going.discard(process.name)
        process.stop()
        process.start()
        self.starting[process.name] = time.monotonic() + 60

    async def close(self) -> None:
        for browser in self.browsers.values():
            await browser.close()


def restart_redis(server: PrivateValkey, *, empty: bool) -> None:
    """Ends it and starts it again, with what it had or without."""
    dump = server.folder / "dump.rdb"
    dump.unlink(missing_ok=True)
    if not empty:
        client = redis.Redis(unix_socket_path=str(server.socket), retry=Retry(NoBackoff(), 0))
        client.shutdown(save=True)
        client.close()
        assert dump.exists()
    server.kill()
    server.start()
    dump.unlink(missing_ok=True)
