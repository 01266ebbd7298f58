"""Random histories (R19): people, pages and kills in any order; whatever happens, I1-I9 hold.

A few short ones in `make test`; two hundred of thirty steps in `make chaos`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import Coroutine, Generator
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.chaos.driving import Scene, scene, stack_with_model
from tests.client import Client, View
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

LONG = bool(os.environ.get("CHAOS_LONG"))
EXAMPLES, STEPS = (int(os.environ.get("CHAOS_EXAMPLES", "200")), 30) if LONG else (5, 16)
SCRIPTS = (
    "tokens=3", "tokens=60 rate=80", "tokens=300 rate=150", "tokens=30 first_delay=1 rate=60",
    "tokens=40 cut=9 rate=60", "status=401", "tokens=2 size=30000", "tokens=90 rate=120 usage=0",
)  # fmt: skip
T = TypeVar("T")
page = st.integers(0, 2)
any_one = st.integers(0, 1000)


@pytest.fixture(scope="module")
def system() -> Generator[tuple[Stack, FakeOpenAI], None, None]:
    with stack_with_model(web=2, workers=2, env={"RUN_LEASE_SECONDS": "3"}) as running:
        yield running


class People(RuleBasedStateMachine):
    """Three pages of one person, who does what comes to mind while workers die."""

    stack: ClassVar[Stack]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.open = contextlib.AsyncExitStack()
        self.here: Scene = self.wait(self.open.enter_async_context(scene(self.stack)))
        self.pages: list[dict[str, View]] = [{}, {}, {}]
        self.clients: list[Client | None] = [None, None, None]
        self.runs: list[dict[str, Any]] = []  # accepted frames
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.kills = 0

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def client(self, number: int) -> Client:
        """The page's socket; a page that lost it comes back, at the other server, and resumes what it had open."""
        found = self.clients[number]
        if found is not None and found.close_code is None:
            return found
        views = self.pages[number]
        web = self.stack.webs[(number + len(self.here.clients)) % 2]
        client = self.clients[number] = await self.here.connect(at=web.url, views=views)
        for one, view in list(views.items()):
            position = {"epoch": view.epoch, "seq": view.seq}
            reply = await client.ask("subscribe", conversation_id=one, position=position)
            assert reply["type"] == "subscribed", reply
        return client

    async def command(self, number: int, kind: str, **fields: Any) -> None:
        reply = await (await self.client(number)).ask(kind, **fields)
        if reply["type"] == "message.accepted":
            self.runs.append(reply)
        else:
            assert reply["type"] == "ok" or reply["code"] in ("busy", "invalid"), reply

    async def submit(self, number: int, kind: str, **fields: Any) -> None:
        fields["client_id"] = str(uuid.uuid4())
        self.commands.append((kind, fields))
        await self.command(number, kind, **fields)

    @initialize()
    def begin(self) -> None:
        self.wait(self.submit(0, "message.send", conversation_id=None, text="First [[tokens=20 rate=100]]"))

    @rule(number=page, script=st.sampled_from(SCRIPTS), which=any_one, new=st.booleans())
    def send(self, number: int, script: str, which: int, new: bool) -> None:
        one = None if new else self.runs[which % len(self.runs)]["conversation_id"]
        self.wait(self.submit(number, "message.send", conversation_id=one, text=f"Say [[{script}]]"))

    @rule(number=page, which=any_one)
    def send_again(self, number: int, which: int) -> None:
        kind, fields = self.commands[which % len(self.commands)]
        self.wait(self.command(number, kind, **fields))

    @rule(number=page, which=any_one, cut_after=st.floats(0, 0.02))
    def send_and_lose_the_reply(self, number: int, which: int, cut_after: float) -> None:
        fields = {"conversation_id": None, "text": "Lost [[tokens=9]]", "client_id": str(uuid.uuid4())}

        async def lose() -> None:
            client = await self.client(number)
            await client.send("message.send", ref=uuid.uuid4().hex, **fields)
            await asyncio.sleep(cut_after)
            await client.drop()

        self.wait(lose())
        self.commands.append(("message.send", fields))
        self.wait(self.command(number, "message.send", **fields))

    @rule(number=page, which=any_one)
    def open_conversation(self, number: int, which: int) -> None:
        async def look() -> None:
            client = await self.client(number)
            one = self.runs[which % len(self.runs)]["conversation_id"]
            if one not in client.following:
                await client.ask("subscribe", conversation_id=one)

        self.wait(look())

    @rule(number=page)
    def drop(self, number: int) -> None:
        client = self.clients[number]
        if client is not None:
            self.wait(client.drop())

    @rule(number=page, which=any_one)
    def stop(self, number: int, which: int) -> None:
        self.wait(self.command(number, "run.stop", run_id=self.runs[which % len(self.runs)]["run_id"]))

    @rule(number=page, which=any_one)
    def regenerate(self, number: int, which: int) -> None:
        run_id = self.runs[which % len(self.runs)]["run_id"]
        [row] = self.stack.sql("SELECT message_id::text FROM chat_run WHERE id = %s", run_id)
        self.wait(self.submit(number, "message.regenerate", message_id=row["message_id"]))

    @rule(seconds=st.floats(0.0, 0.6))
    def time_passes(self, seconds: float) -> None:
        self.wait(asyncio.sleep(seconds))

    @precondition(lambda self: self.kills < (3 if LONG else 1))
    @rule(number=st.integers(0, 1), gently=st.booleans())
    def a_worker_dies(self, number: int, gently: bool) -> None:
        """And is started again, by whoever watches over it."""
        self.kills += 1
        worker = self.stack.workers[number]
        worker.kill(signal.SIGTERM if gently else signal.SIGKILL)
        if not gently:
            worker.stop()
            worker.start()

    def teardown(self) -> None:
        try:
            for worker in self.stack.workers:
                if worker.popen is not None and self.kills:
                    with contextlib.suppress(Exception):
                        worker.wait(0.01)
                    if worker.popen.poll() is not None:
                        worker.stop()
                        worker.start()
            self.wait(self.here.judge(30))
        finally:
            self.wait(self.open.aclose())
            self.loop.close()


@pytest.mark.timeout(3600 if LONG else 120)
def test_r19_random_histories(system: tuple[Stack, FakeOpenAI]) -> None:
    People.stack = system[0]
    run_state_machine_as_test(
        People,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not LONG,
            database=None,
            phases=[Phase.generate],  # what took seconds and a kill cannot be shrunk
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
