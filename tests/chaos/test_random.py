"""Random histories (R19): people, pages and kills in any order; whatever happens, I1-I13 hold.

A few short ones in `make test`; two hundred of thirty steps in `make chaos`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from tests.chaos.driving import scene
from tests.chaos.people import Hand, World, restart_redis
from tests.chaos.random_rules import ToolsAndShares, a_moment
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.fixtures.stack_rules import rules_of
from tests.stack import Stack

LONG = bool(os.environ.get("CHAOS_LONG"))
EXAMPLES, STEPS = (int(os.environ.get("CHAOS_EXAMPLES", "200")), 30) if LONG else (5, 16)
DISASTERS = 3 if LONG else 1  # in one history
SCRIPTS = (
    "tokens=3", "tokens=60 rate=80", "tokens=300 rate=150", "tokens=30 first_delay=1 rate=60",
    "tokens=12 finish=length rate=60", "tokens=40 cut=9 rate=60", "status=401", "tokens=2 size=30000",
    "tokens=90 rate=120 usage=0",
)  # fmt: skip
MASKED, BLOCKED = "tok7", "tok150"  # by rules for answers
RULES_SECONDS = 6.0  # until every process has new rules
BOB = 2
T = TypeVar("T")
page = st.integers(0, 1)  # of Alice's
anyone = st.integers(0, BOB)
any_one = st.integers(0, 1000)

SYSTEM = {
    "web": 2,
    "workers": 2,
    "env": {"RUN_LEASE_SECONDS": "3", "LOGIN_RATE": "100000/m/ip", "SHARE_WITH_ANYONE": "1"},
}


class People(ToolsAndShares):
    """Two pages of Alice's and one of Bob's, who is let into some of her conversations and out again, while workers,
    web processes and Redis end and come back; and people who read live shares.
    """

    stack: ClassVar[Stack]
    hand: ClassVar[Hand]
    counted: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.open = contextlib.AsyncExitStack()
        self.world = World(
            self.stack,
            self.wait(self.open.enter_async_context(scene(self.stack, withheld=(MASKED, BLOCKED)))),
            self.hand,
        )
        self.runs: list[dict[str, Any]] = []  # accepted frames
        self.commands: list[tuple[str, dict[str, Any]]] = []  # of Alice's
        self.waiting: list[str] = []  # messages that were accepted to wait
        self.disasters = 0
        self.counted["histories"] += 1

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def command(self, number: int, kind: str, **fields: Any) -> None:
        self.counted[kind] += 1
        reply = await self.world.ask(self.world.pages[number], kind, **fields)
        if "queued" in reply:
            self.counted["waiting"] += 1
            self.waiting.append(reply["message_id"])
        elif reply["type"] == "message.accepted":
            self.runs += [reply] if reply["run_id"] else []
        else:
            refused = {"busy", "invalid"} | ({"not_found", "forbidden"} if number == BOB else set())
            refused |= {"not_found", "forbidden"} if kind.startswith("queue.") else set()
            assert reply["type"] == "ok" or reply["code"] in refused, reply

    async def submit(self, number: int, kind: str, **fields: Any) -> None:
        fields["client_id"] = str(uuid.uuid4())
        if number != BOB:
            self.commands.append((kind, fields))
        await self.command(number, kind, **fields)

    def conversation(self, which: int) -> str:
        return str(self.runs[which % len(self.runs)]["conversation_id"])

    def of_run(self, column: str, which: int) -> str:
        run_id = self.runs[which % len(self.runs)]["run_id"]
        [row] = self.stack.sql(f"SELECT {column}::text AS id FROM chat_run WHERE id = %s", run_id)  # noqa: S608 -- ours
        return str(row["id"])

    # --- people -------------------------------------------------------------------------------------------------

    @initialize(first=a_moment, second=a_moment, resumes=st.booleans())
    def begin(self, first: float, second: float, resumes: bool) -> None:
        """An answer that was cut goes on: what is broken next may meet its second run. Bob is let in, out and in."""
        text = "First [[tokens=12 rate=100 finish=length]]"
        self.wait(self.submit(0, "message.send", conversation_id=None, text=text))
        client = self.wait(self.world.socket(self.world.pages[0]))
        self.wait(client.ended(self.runs[0]["run_id"]))
        self.wait(self.submit(0, "message.continue", message_id=self.of_run("message_id", 0)))
        assert len(self.runs) == 2, "it could be continued"
        self.let_bob_in(0)
        self.bob_is_out_for_a_moment(0, first, second, resumes)

    @rule(number=anyone, script=st.sampled_from(SCRIPTS), which=any_one, new=st.booleans())
    def send(self, number: int, script: str, which: int, new: bool) -> None:
        one = None if new and number != BOB else self.conversation(which)
        self.wait(self.submit(number, "message.send", conversation_id=one, text=f"Say [[{script}]]", ask=True))

    @rule(number=anyone, which=any_one)
    def write_to_people(self, number: int, which: int) -> None:
        """Asks nobody, and so is accepted while an answer is in progress, too."""
        one = self.conversation(which)
        self.wait(self.submit(number, "message.send", conversation_id=one, text="By the way", ask=False))

    @rule(number=anyone, script=st.sampled_from(SCRIPTS), which=any_one, steers=st.booleans(), count=st.integers(1, 3))
    def queue(self, number: int, script: str, which: int, steers: bool, count: int) -> None:
        """Messages that wait for the answer in progress, or stop it."""
        for at in range(count):
            fields = {"text": f"Then {at} [[{script}]]", "when_busy": "steer" if steers and not at else "queue"}
            one = self.conversation(which)
            self.wait(self.submit(number, "message.send", conversation_id=one, ask=True, **fields))

    @rule(number=anyone, which=any_one, change=st.sampled_from(("edit", "remove", "send_now", "move")))
    def change_the_line(self, number: int, which: int, change: str) -> None:
        if self.waiting:
            fields = {"text": "Rather [[tokens=5]]"} if change == "edit" else {}
            message_id = self.waiting[which % len(self.waiting)]
            self.wait(self.command(number, f"queue.{change}", message_id=message_id, **fields))

    @rule(number=page, which=any_one)
    def send_again(self, number: int, which: int) -> None:
        kind, fields = self.commands[which % len(self.commands)]
        self.wait(self.command(number, kind, **fields))

    @rule(number=page, cut_after=st.floats(0, 0.02))
    def send_and_lose_the_reply(self, number: int, cut_after: float) -> None:
        fields = {"conversation_id": None, "text": "Lost [[tokens=9]]", "client_id": str(uuid.uuid4())}

        async def lose() -> None:
            client = await self.world.socket(self.world.pages[number])
            with contextlib.suppress(OSError):
                await client.send("message.send", ref=uuid.uuid4().hex, **fields)
            await asyncio.sleep(cut_after)
            await client.drop()

        self.wait(lose())
        self.commands.append(("message.send", fields))
        self.wait(self.command(number, "message.send", **fields))

    @rule(number=page, which=any_one)
    def open_conversation(self, number: int, which: int) -> None:
        one, at = self.conversation(which), self.world.pages[number]
        if one not in self.wait(self.world.socket(at)).following:
            assert self.wait(self.world.ask(at, "subscribe", conversation_id=one))["type"] == "subscribed"

    @rule(number=anyone)
    def drop(self, number: int) -> None:
        client = self.world.pages[number].client
        if client is not None:
            self.counted["drops"] += 1
            self.wait(client.drop())

    @rule(number=anyone, which=any_one)
    def stop(self, number: int, which: int) -> None:
        self.wait(self.command(number, "run.stop", run_id=self.runs[which % len(self.runs)]["run_id"]))

    @rule(number=anyone, which=any_one)
    def regenerate(self, number: int, which: int) -> None:
        self.wait(self.submit(number, "message.regenerate", message_id=self.of_run("message_id", which)))

    @rule(number=anyone, which=any_one, script=st.sampled_from(SCRIPTS))
    def edit(self, number: int, which: int, script: str) -> None:
        message_id = self.of_run("prompt_id", which)
        self.wait(self.submit(number, "message.edit", message_id=message_id, text=f"Rather [[{script}]]"))

    @rule(number=anyone, which=any_one)
    def continue_answer(self, number: int, which: int) -> None:
        """Of a cut answer, a stopped or failed one; others are refused."""
        self.wait(self.submit(number, "message.continue", message_id=self.of_run("message_id", which)))

    @rule(which=any_one)
    def let_bob_in(self, which: int) -> None:
        one = self.conversation(which)
        self.counted["invitations again" if one in self.world.pages[BOB].lost else "invitations"] += 1
        self.wait(self.world.invite(self.world.pages[BOB], one))

    @rule(which=any_one)
    def let_bob_out(self, which: int) -> None:
        inside = sorted(self.world.pages[BOB].views.keys() - self.world.pages[BOB].lost)
        if inside:
            self.counted["removals"] += 1
            self.wait(self.world.remove(self.world.pages[BOB], inside[which % len(inside)]))

    @rule(barred=st.booleans())
    def bob_goes(self, barred: bool) -> None:
        """Logs out, or is switched off and on again; then he is somebody who has seen nothing yet."""
        if self.world.pages[BOB].client is not None:
            self.counted["log-outs"] += 1
            self.wait(self.world.end_session(self.world.pages[BOB], barred=barred))

    @rule(seconds=st.floats(0.0, 0.6))
    def time_passes(self, seconds: float) -> None:
        self.wait(asyncio.sleep(seconds))

    # --- disasters ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.disasters < DISASTERS)
    @rule(number=st.integers(0, 1), gently=st.booleans())
    def a_worker_dies(self, number: int, gently: bool) -> None:
        self.dies(self.stack.workers[number], gently)

    @precondition(lambda self: self.disasters < DISASTERS)
    @rule(number=st.integers(0, 1), gently=st.booleans())
    def a_web_process_dies(self, number: int, gently: bool) -> None:
        self.dies(self.stack.webs[number], gently)

    @precondition(lambda self: self.disasters < DISASTERS)
    @rule(empty=st.booleans())
    def redis_starts_anew(self, empty: bool) -> None:
        self.disasters += 1
        self.counted["empty Redis" if empty else "Redis restarts"] += 1
        restart_redis(self.stack.redis, empty=empty)

    def dies(self, process: Any, gently: bool) -> None:
        """And is started again, by whoever watches over it: at once, or when it has ended."""
        self.disasters += 1
        self.counted[f"{process.name.rstrip('12')} {'SIGTERM' if gently else 'SIGKILL'}"] += 1
        process.kill(signal.SIGTERM if gently else signal.SIGKILL)
        if gently:
            self.world.going.add(process.name)
            self.world.starting[process.name] = time.monotonic() + 60
        else:
            self.world.start_again(process)

    # --- the end ------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if self.disasters:
                self.wait(self.all_are_ready())
            bob = self.world.pages[BOB]
            if bob.lost and bob.client is not None:  # what he lost he cannot be level with
                self.wait(bob.client.drop())
            self.let_nothing_wait()
            self.wait(self.world.here.history.settle(self.stack, 30))
            self.wait(self.end_readers())
            self.wait(self.world.here.judge(30))
        finally:
            self.wait(self.world.close())
            self.wait(self.open.aclose())
            self.loop.close()


@pytest.mark.timeout(7200 if LONG else 300)
def test_r19_random_histories(new_system: tuple[Stack, FakeOpenAI]) -> None:
    People.stack = new_system[0]
    People.hand = Hand(People.stack)
    began = time.monotonic()
    rules = [
        {"name": f"{action} {word}", "action": action, "words": [word]}
        for action, word in (("mask", MASKED), ("block", BLOCKED))
    ]
    try:
        with rules_of(People.stack, *rules):
            time.sleep(RULES_SECONDS)
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
    finally:
        People.hand.close()
        measured(f"R19 {dict(People.counted)}", round(time.monotonic() - began, 1))
