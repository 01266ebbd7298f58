"""What the chaos tests share: watched clients, and who holds which run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.client import Client, Session, session
from tests.client_view import View
from tests.history import History, fresh_snapshots
from tests.stack import Stack, Web, Worker

WAITS_FOR_LOCK = "SELECT 1 FROM pg_locks WHERE NOT granted"


def answer(tokens: int) -> str:
    """What the scripted model says in so many tokens."""
    return "".join(f"tok{number} " for number in range(tokens))


@dataclass
class Scene:
    """One test: Alice's session, the clients it opened, and their history."""

    stack: Stack
    alice: Session
    history: History = field(default_factory=History)
    clients: list[Client] = field(default_factory=list)
    judges_at: str | None = None  # where fresh snapshots come from; None: the last web process

    async def connect(self, *, at: str | None = None, views: dict[str, View] | None = None, **options: Any) -> Client:
        """A watched client of Alice's."""
        options.setdefault("short", len(self.clients) % 2 == 0)  # as a page has it, and as an older client
        client = await self.alice.connect(at=at, views=views if views is not None else {}, **options)
        self.clients.append(client)
        return self.history.watch(client)

    async def say(self, client: Client, text: str, conversation: str | None = None) -> dict[str, Any]:
        accepted = await client.say(text, conversation)
        assert accepted["type"] == "message.accepted", accepted
        return accepted

    async def judge(self, seconds: float = 20.0) -> None:
        """Waits until all is at rest, takes fresh snapshots, and asserts I1-I13."""
        await self.history.settle(self.stack, seconds)
        views = [view for client in self.clients for view in client.views]
        judge = await self.alice.connect(at=self.judges_at or self.stack.webs[-1].url)
        snapshots = await fresh_snapshots(judge, dict.fromkeys(views))
        await asyncio.gather(*(self._level(client, snapshots) for client in self.clients))
        await asyncio.gather(*(client.close() for client in [judge, *self.clients]))
        self.history.check(self.stack, snapshots)

    async def _level(self, client: Client, snapshots: list[dict[str, Any]]) -> None:
        """Waits until an open client has what a fresh one has: nobody stays behind for good. It may have more by now:
        an answer whose worker was lost is rendered late, which is an event of its own.
        """
        for frame in snapshots:
            one, position = frame["conversation_id"], frame["position"]
            if one in client.following and client.close_code is None:
                view = client.views[one]
                await client.until(
                    lambda view=view, at=position: view.epoch == at["epoch"] and view.seq >= at["seq"],  # type: ignore[misc]
                    f"being level with {position} in {one}",
                )


@contextlib.asynccontextmanager
async def scene(stack: Stack, *, web: int = 0, withheld: Sequence[str] = ()) -> AsyncGenerator[Scene, None]:
    """A test's scene; Alice logs in at, and gets her tickets from, this web process. `withheld`: words that a rule
    masks or blocks in answers.
    """
    async with session(stack.webs[web].url) as alice:
        yield Scene(stack, alice, History(withheld))


def holder(stack: Stack, run_id: str) -> Worker:
    """The worker that has the run's lease."""
    [row] = stack.sql("SELECT lease_owner FROM chat_run WHERE id = %s", run_id)
    return next(worker for worker in stack.workers if f":{worker.pid}:" in row["lease_owner"])


async def restart(process: Web | Worker) -> None:
    """Starts a process again, here on the main thread (see `config.stack.leash`), and waits until it is ready."""
    process.stop()
    process.start()
    await asyncio.to_thread(process.await_ready)


async def poll(is_so: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    """Waits until `is_so()` (which may block for a moment) is truthy; its value."""
    deadline = time.monotonic() + seconds
    while not (value := await asyncio.to_thread(is_so)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {seconds} s")
        await asyncio.sleep(0.05)
    return value
