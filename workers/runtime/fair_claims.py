"""Which queued run a job claims: its own; while more are asked for than this worker takes, the one whose turn it is.

All workers read one order (`chat.runs.fair_order`), so it does not matter to which of them a job comes.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Container, Iterator
from dataclasses import replace
from typing import Final

from accounts.lib.outage import OUTAGE
from chat.catalog.access import said_of
from chat.runs.claims import Claim, claim
from chat.runs.fair_order import WaitingRun, next_runs, note_passed, watched_first

READ: Final = 1_000  # runs at a time; nearly all of them may be unwatched
FRESH_SECONDS: Final = 0.25  # for so long the order is as it was read
LATE_SECONDS: Final = 1.0  # a job that waited longer in the broker is one of many
TRIES: Final = 16  # runs that other workers claim meanwhile


def without_unusable_tools(claimed: Claim) -> Claim:
    """The claim without the version of the tools where staff say that the model calls none: asked on this thread, so
    that the loop need not change to another one for it. During an outage the loop does that.
    """
    with contextlib.suppress(*OUTAGE):
        if claimed.tools_version is None or said_of(claimed.run.model, "tools") is not False:
            return claimed
    return replace(claimed, tools_version=None)


class FairClaims:
    """Claims runs for one worker process. `window_of` gives the context window of a model (`claim`). `find_unwatched`
    gives those of some conversations that nobody follows; it blocks.
    """

    def __init__(
        self,
        owner: str,
        window_of: Callable[[str], int | None],
        find_unwatched: Callable[[Collection[uuid.UUID]], Container[uuid.UUID]],
    ) -> None:
        self._owner = owner
        self._window_of = window_of
        self._find_unwatched = find_unwatched
        self._next: deque[uuid.UUID] = deque()
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def claim(self, run_id: uuid.UUID, published: float | None, *, waited: bool) -> Claim | None:
        """Claims a run with the job of `run_id`; None if there is nothing to claim. Any thread may call it.

        `published`: when, in seconds since 1970; None: the job may claim no other run. `waited`: for a free place here.
        A run that was claimed with another one's job leaves its own job behind, which then claims the next one.
        """
        if published is None:
            return self._claim(run_id)
        in_turn = waited or time.time() - published > LATE_SECONDS
        if not in_turn and (claimed := self._claim(run_id)) is not None:
            return claimed
        for candidate in self._candidates():
            if (claimed := self._claim(candidate)) is not None:
                if in_turn and candidate != run_id:
                    note_passed(run_id)
                return claimed
        return self._claim(run_id) if in_turn else None

    def _claim(self, run_id: uuid.UUID) -> Claim | None:
        claimed = claim(run_id, self._owner, self._window_of)
        return None if claimed is None else without_unusable_tools(claimed)

    def _candidates(self) -> Iterator[uuid.UUID]:
        for _ in range(TRIES):
            with self._lock:  # also while it reads: the threads that wait read nothing
                if not self._next or time.monotonic() - self._read_at > FRESH_SECONDS:
                    self._next = deque(run.run_id for run in self._in_order())
                    self._read_at = time.monotonic()
                if not self._next:
                    return
                candidate = self._next.popleft()
            yield candidate

    def _in_order(self) -> list[WaitingRun]:
        runs = next_runs(READ)
        return watched_first(runs, self._find_unwatched([run.conversation_id for run in runs])) if runs else runs
