"""How `.ci/test` shares out the files of tests among three processes of pytest-xdist (`pytest_xdist_make_scheduler`).

Two processes take them from the front: browsers first, then what waits for servers, then what computes. Two cores have
nothing to do for a quarter of the time that the tests of servers take, since those wait for leases, time limits and
starts. So a third process takes files from the end of the queue at a lower priority, once no browser runs any more:
with browsers two processes keep both cores busy, and a third made them miss time limits.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest
from xdist.scheduler import LoadFileScheduling

THIRD: Final = "gw2"
LOWER_PRIORITY: Final = 5  # of it and of what it starts: a third of the share of the others, where a core is wanted
BROWSERS: Final = "tests/e2e/"


class ThirdFromTheEnd(LoadFileScheduling):  # type: ignore[misc]  # xdist's schedulers are untyped for us
    """`loadfile` in which the third process helps the first two. With fewer processes it is `loadfile`."""

    def _assign_work_unit(self, node: Any) -> None:
        if node is not self._third():
            super()._assign_work_unit(node)
        elif not self._are_browsers_left():
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        super()._reschedule(node)
        third = self._third()
        # It has had nothing to finish so far, or one test, which a process only runs when it knows what comes next.
        if third is not None and third is not node and self._pending_of(self.assigned_work[third]) < 2:
            super()._reschedule(third)

    def _third(self) -> Any:
        return next((node for node in self.assigned_work if node.gateway.id == THIRD and len(self.nodes) > 2), None)

    def _are_browsers_left(self) -> bool:
        left = next(iter(self.workqueue)).startswith(BROWSERS)
        return left or any(
            scope.startswith(BROWSERS) and not all(tests.values())
            for assigned in self.assigned_work.values()
            for scope, tests in assigned.items()
        )


def make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The scheduler for `--dist loadfile`; None leaves others to xdist."""
    return ThirdFromTheEnd(config, log) if config.getvalue("dist") == "loadfile" else None


def lower_priority_of_the_third() -> None:
    """In a process of xdist: before it starts servers, which inherit its priority."""
    if os.environ.get("PYTEST_XDIST_WORKER") == THIRD:
        os.nice(LOWER_PRIORITY)
