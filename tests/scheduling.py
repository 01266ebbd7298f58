"""How `.ci/test` shares out the files of tests among four processes of pytest-xdist (`pytest_xdist_make_scheduler`).

Two processes take them from the front: first chaos, whose tests measure how long recovery takes, then browsers, then
what waits for servers, then what computes. Two cores have nothing to do for half of the time that chaos takes, and for
a quarter of the time that the tests of servers take, since those wait for leases, time limits and starts. Two more
processes use that time and take files from the end of the queue:
- The third helps with all that is left once chaos and browsers are through, at a lower priority. With browsers two
  processes keep both cores busy, and a third made them miss time limits.
- The fourth computes beside chaos and browsers: it takes unit tests, but gets a core only while nobody else wants it
  (`SCHED_IDLE`), so that it holds up no other test. When those are through it ends, for then the cores are busy. It
  leaves the unit tests that start processes, which would miss the product's own time limits there, to the others.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest
from xdist.scheduler import LoadFileScheduling

THIRD, FOURTH = "gw2", "gw3"
LOWER_PRIORITY: Final = 5  # of the third and of what it starts: a third of the others' share, where a core is wanted
IDLE_PRIORITY: Final = 19  # of the fourth, where there is no SCHED_IDLE
IDLE_SECONDS: Final = 600.0  # for each of the fourth's tests: it may have to wait for the others
ALONE: Final = ("tests/chaos/", "tests/e2e/")  # two processes at most run these, and the third nothing beside them
COMPUTING: Final = "tests/unit/"
STARTING_PROCESSES: Final = frozenset(
    COMPUTING + name
    for name in (
        "accounts/auth/test_password_hashing.py", "accounts/auth/test_saml_variables.py",
        "chat/catalog/test_model_names.py", "chat/markdown/test_pool.py", "config/observability/test_logging.py",
        "config/stack/test_preparing.py", "config/stack/test_readiness.py", "config/test_env.py",
        "config/test_loaded_packages.py", "deploy/test_image.py", "deploy/test_monitoring.py",
        "tooling/test_forking.py", "tooling/test_install.py", "workers/asr/test_vad.py",
        "workers/tools/servers/test_loading.py", "workers/tools/test_own.py",
    )
)  # fmt: skip


class FromBothEnds(LoadFileScheduling):  # type: ignore[misc]  # xdist's schedulers are untyped for us
    """`loadfile` in which a third and a fourth process help the first two. With fewer processes it is `loadfile`."""

    def _assign_work_unit(self, node: Any) -> None:
        if node is self._helper(FOURTH):
            if only_computes(self._last()) and self._are_alone():
                self._assign_last(node)
            else:
                node.shutdown()  # it runs what it has
        elif node is not self._helper(THIRD):
            super()._assign_work_unit(node)
        elif not self._are_alone():
            self._assign_last(node)

    def _assign_last(self, node: Any) -> None:
        self.workqueue.move_to_end(self._last(), last=False)
        super()._assign_work_unit(node)

    def _last(self) -> str:
        return str(next(reversed(self.workqueue)))

    def _reschedule(self, node: Any) -> None:
        super()._reschedule(node)
        third = self._helper(THIRD)
        # It has had nothing to finish so far, or one test, which a process only runs when it knows what comes next.
        if third is not None and third is not node and self._pending_of(self.assigned_work[third]) < 2:
            super()._reschedule(third)

    def _helper(self, name: str) -> Any:
        return next((node for node in self.assigned_work if node.gateway.id == name and len(self.nodes) > 2), None)

    def _are_alone(self) -> bool:
        left = next(iter(self.workqueue)).startswith(ALONE)
        return left or any(
            scope.startswith(ALONE) and not all(tests.values())
            for assigned in self.assigned_work.values()
            for scope, tests in assigned.items()
        )


def only_computes(file: str) -> bool:
    """`file`: relative to the repository. tests/conftest.py puts the other unit tests before these."""
    return file.startswith(COMPUTING) and file not in STARTING_PROCESSES


def make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The scheduler for `--dist loadfile`; None leaves others to xdist."""
    return FromBothEnds(config, log) if config.getvalue("dist") == "loadfile" else None


def widen_time_limit_of_the_fourth(config: pytest.Config) -> None:
    """In a process of xdist: before pytest-timeout reads its limit."""
    if os.environ.get("PYTEST_XDIST_WORKER") == FOURTH:
        config.option.timeout = IDLE_SECONDS


def lower_priority_of_helpers() -> None:
    """In a process of xdist: once it has collected the tests, for which the others wait, and before it starts servers,
    which inherit its priority.
    """
    process = os.environ.get("PYTEST_XDIST_WORKER")
    if process == THIRD:
        os.nice(LOWER_PRIORITY)
    elif process == FOURTH:
        if hasattr(os, "SCHED_IDLE"):  # Linux
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        else:
            os.nice(IDLE_PRIORITY)
