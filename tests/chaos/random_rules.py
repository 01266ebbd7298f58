"""Rules of random histories for answers that call tools and for live shares, mixed into those of `test_random`."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.chaos.people import World, patiently
from tests.history import Reader
from tests.stack import Stack, Web, Worker
from tests.watching import Watcher, watcher

ZONES = ("UTC", "Europe/Berlin", "Nowhere/None")
TOOL_SCRIPTS = (
    *(f"call=current_time {json.dumps({'time_zone': zone})}" for zone in ZONES),
    " ".join(f"call=current_time {json.dumps({'time_zone': zone})}" for zone in ZONES),
    'call=ask_person {"question": "Which one?"}',
    'call=calculate {"expression": "2 ^ 100"} call=no_such_tool {}',
)
MOST_SHARES = 2  # of one history
anyone, any_one = st.integers(0, 2), st.integers(0, 1000)
a_moment = st.floats(0.0, 0.4)  # seconds
WAITING = (
    "SELECT id::text AS id, run_id::text AS run FROM chat_toolcall WHERE status = 'waiting' AND run_id::text = ANY(%s)"
)


@dataclass
class Shared:
    """A live share, and its reader, who comes back whenever the stream is lost."""

    conversation: str
    link: str
    record: Reader
    reader: Watcher
    stop: asyncio.Event
    reading: asyncio.Task[None]


class ToolsAndShares(RuleBasedStateMachine):
    """What `test_random.People` inherits. The attributes are that class's."""

    stack: ClassVar[Stack]
    counted: ClassVar[Counter[str]]
    world: World
    runs: list[dict[str, Any]]
    open: Any

    def __init__(self) -> None:
        super().__init__()
        self.shared: list[Shared] = []

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        raise NotImplementedError

    def conversation(self, which: int) -> str:
        raise NotImplementedError

    async def submit(self, number: int, kind: str, **fields: Any) -> None:
        raise NotImplementedError

    # --- tools --------------------------------------------------------------------------------------------------

    @rule(number=anyone, script=st.sampled_from(TOOL_SCRIPTS), which=any_one, queued=st.booleans())
    def ask_for_calls(self, number: int, script: str, which: int, queued: bool) -> None:
        fields = {"when_busy": "queue"} if queued else {}
        one = self.conversation(which)
        self.counted["tools"] += 1
        self.wait(
            self.submit(number, "message.send", conversation_id=one, text=f"Look [[{script}]]", ask=True, **fields)
        )

    @precondition(lambda self: self.runs)
    @rule(number=anyone, which=any_one, denies=st.booleans())
    def decide(self, number: int, which: int, denies: bool) -> None:
        """Answers one of the questions that wait, or declines."""
        if waiting := self._waiting_calls():
            self.counted["decisions"] += 1
            self.wait(self._decide(number, waiting[which % len(waiting)], denies=denies))

    def _waiting_calls(self) -> list[dict[str, Any]]:
        mine = list({str(accepted["conversation_id"]) for accepted in self.runs})
        runs = self.stack.sql("SELECT id::text AS id FROM chat_run WHERE conversation_id::text = ANY(%s)", mine)
        return self.stack.sql(WAITING, [row["id"] for row in runs])

    async def _decide(self, number: int, call: dict[str, Any], *, denies: bool) -> None:
        fields: dict[str, Any] = {"decision": "deny"} if denies else {"decision": "once", "answer": {"answer": "This"}}
        page = self.world.pages[number]
        reply = await self.world.ask(page, "tool.decide", run_id=call["run"], call_id=call["id"], **fields)
        refused = {"conflict", "not_found", "forbidden", "invalid"}
        assert reply["type"] == "ok" or reply["code"] in refused, reply

    def let_nothing_wait(self) -> None:
        """Declines whatever waits, also what waits only then: a message in line may ask as well."""
        deadline = time.monotonic() + 120  # a worker needs half a minute to start on a busy machine
        quiet = 0
        mine = list({str(accepted["conversation_id"]) for accepted in self.runs})
        busy = "SELECT id FROM chat_run WHERE conversation_id::text = ANY(%s) AND status IN ('queued', 'running')"
        while quiet < 3:
            assert time.monotonic() < deadline, "answers go on asking"
            waiting = self._waiting_calls()
            quiet = 0 if waiting or self.stack.sql(busy, mine) else quiet + 1  # an answer in progress may ask yet
            for call in waiting:
                self.wait(self._decide(0, call, denies=True))
            self.wait(asyncio.sleep(0.7))

    # --- coming and going ---------------------------------------------------------------------------------------

    @rule(which=any_one, first=a_moment, second=a_moment, resumes=st.booleans())
    def bob_is_out_for_a_moment(self, which: int, first: float, second: float, resumes: bool) -> None:
        """While an answer streams: what is written meanwhile he gets when he is in again, with the snapshot or, if his
        page resumes, with the replay; and nothing of it before (I15).
        """
        bob = self.world.pages[2]
        inside = sorted(bob.views.keys() - bob.lost)
        if not inside:
            return
        one = inside[which % len(inside)]
        self.counted["returns that resume" if resumes else "returns"] += 1
        self.wait(self.submit(0, "message.send", conversation_id=one, text="Go on [[tokens=120 rate=100]]", ask=True))
        self.wait(asyncio.sleep(first))
        self.wait(self.world.remove(bob, one))
        self.wait(asyncio.sleep(second))
        self.wait(self.world.invite(bob, one, resumes=resumes))

    # --- processes ----------------------------------------------------------------------------------------------

    async def all_are_ready(self) -> None:
        """Waits for every process, on a busy machine longer than the judge does; the pages answer pings meanwhile."""
        processes: list[Web | Worker] = [*self.stack.webs, *self.stack.workers]
        for process in processes:
            if process.name in self.world.going:
                await asyncio.to_thread(process.wait, 60)
            if process.has_ended():
                self.world.start_again(process)
        for process in processes:
            await asyncio.to_thread(process.await_ready)

    # --- shares -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.runs and len(self.shared) < MOST_SHARES)
    @rule(which=any_one)
    def share(self, which: int) -> None:
        self.counted["shares"] += 1
        self.wait(self._share(self.conversation(which)))

    async def _share(self, conversation: str) -> None:
        form = {"kind": "live", "audience": "anyone", "days": "30", "names": "0"}
        made = await self._post(f"/c/{conversation}/shares/new/", form)
        reader = await self.open.enter_async_context(watcher(made["url"]))
        urls = [web.url for web in self.stack.webs]
        turn = iter(range(10**6))
        stop = asyncio.Event()
        reading = asyncio.create_task(reader.keep_open(at=lambda: urls[next(turn) % len(urls)], stop=stop))
        record = Reader(conversation, reader.events, reader.times, names=False)
        self.world.here.history.readers.append(record)
        self.shared.append(Shared(conversation, made["link_id"], record, reader, stop, reading))

    @rule()
    def revoke_share(self) -> None:
        """Nothing comes after it. No precondition may ask what the servers made of a step: Hypothesis expects that the
        same choices lead to the same rules.
        """
        one = next((one for one in self.shared if one.record.ended_at is None), None)
        if one is None:
            return
        self.counted["revocations"] += 1
        self.wait(self._revoke(one))

    async def _revoke(self, one: Shared) -> None:
        await self._post(f"/c/{one.conversation}/shares/{one.link}/revoke/", {})
        await asyncio.sleep(0.2)  # what came before it is read: nothing was while the history did something else
        one.record.ended_at = time.monotonic()

    async def _post(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        async def attempt() -> dict[str, Any] | None:
            at = await self.world.browsers["alice"].at(await asyncio.to_thread(self.world.any_web))
            answered = await at.post(path, form)
            if answered.status in (503, 500):
                return None
            found: dict[str, Any] = await answered.json()
            assert answered.status == 200, found
            return found

        made: dict[str, Any] = await patiently(attempt, path)
        return made

    async def end_readers(self) -> None:
        """Lets the readers read what has come, and fails if one of them was told nonsense."""
        await asyncio.sleep(1.0)
        for one in self.shared:
            one.stop.set()
        for one in self.shared:
            await one.reader.close()
            one.reading.cancel()
        for found in await asyncio.gather(*(one.reading for one in self.shared), return_exceptions=True):
            assert found is None or isinstance(found, asyncio.CancelledError), repr(found)
