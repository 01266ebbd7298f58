"""Sets the environment before Django is set up, starts the servers when a test needs them, and names the cast."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _pytest.unittest
import django
import hypothesis
import pytest
import redis
from django.contrib import admin
from django.db import connections

from config.ops import gc_tuning
from tests import scheduling, templates
from tests.fixtures import database, static_files
from tests.password_cost import reduce_password_cost
from tests.servers import servers

if TYPE_CHECKING:
    from accounts.models import User
    from tests.stack import Stack

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background has them ignore Ctrl-C; programs they start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

gc.set_threshold(*gc_tuning.THRESHOLDS)  # for collecting the tests
servers.set_environment()
sys.dont_write_bytecode = False  # as for the processes that tests start (tests/servers.py)
django.setup()  # here, and not by pytest-django: it would read the settings before this file
admin.autodiscover()  # in the order of INSTALLED_APPS, before a test imports an admin module
static_files.leave_out()
database.empty_after_tests_that_commit()

# Before each test pytest reads Twisted's version from the text of its metadata, which takes 4 ms.
_pytest.unittest._get_twisted_version = functools.cache(_pytest.unittest._get_twisted_version)

reduce_password_cost()

# Django's test database begins as a copy of one that is migrated, so that no migration is left to do.
connections["default"].settings_dict["TEST"]["TEMPLATE"] = templates.MIGRATED

# How quick an example is depends on what else the machine does; no property is about that.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")

TESTS = Path(__file__).parent
pytest_plugins = ["tests.fixtures.attached_storage", "tests.fixtures.measurements", "tests.fixtures.stacks"]
KINDS = ("unit", "integration", "e2e", "chaos")
WAITING = {("integration", "config"), ("integration", "workers")}  # whose tests wait for servers most of the time
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup"}
PASSWORD = "correct horse battery staple"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    scheduling.widen_time_limit_of_the_fourth(config)
    if config.getoption("dist", "no") != "no":  # workers of pytest-xdist inherit this, and would set Django up from it
        del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each test is marked by its folder. The quick ones come first; where files are shared out among processes of
    pytest-xdist, they come last, so that all processes are busy to the end, and what waits for servers comes before
    what only computes (tests/scheduling.py).
    """
    for item in items:
        if (kind := kind_of(item)) in KINDS:
            item.add_marker(kind)
    shared_out = hasattr(config, "workerinput")
    order = (KINDS[::-1] if shared_out else KINDS).index
    items.sort(
        key=lambda item: (
            order(kind_of(item)) if kind_of(item) in KINDS else len(KINDS),
            shared_out and not waits_for_servers(item),
            shared_out and scheduling.only_computes(item.path.relative_to(TESTS.parent).as_posix()),
        )
    )


def waits_for_servers(item: pytest.Item) -> bool:
    return item.path.relative_to(TESTS).parts[:2] in WAITING


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return scheduling.make_scheduler(config, log)


def kind_of(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]


def pytest_collection_finish(session: pytest.Session) -> None:
    gc_tuning.settle()  # as in server processes; with Python's own thresholds it took a tenth of the CPU time
    scheduling.lower_priority_of_helpers()
    if not session.config.option.collectonly and any(map(_needs_servers, session.items)):
        servers.start()


def pytest_unconfigure() -> None:
    servers.stop()


def _needs_servers(item: pytest.Item) -> bool:
    return (
        item.get_closest_marker("unit") is None
        or item.get_closest_marker("django_db") is not None
        or not DATABASE_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
    )


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Generator[None, None, None]:
    """Tests that commit leave the rows that are there now (tests/fixtures/database.py). A connection that a thread of a
    test has left open does not keep the test database from being dropped.
    """
    from django.db import connection

    with django_db_blocker.unblock():
        database.remember_first_rows(connection)
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(autouse=True)
def _site_as_it_comes() -> None:
    """The site's settings as they come, known already: no test reads them from the database unless it means to."""
    module = sys.modules.get("accounts.site")
    if module is not None:
        vars(module)["_known"] = module._Known(module.Site("Antiphon"), None, time.monotonic())


@pytest.fixture
def clean_redis() -> str:
    """The address of an empty Redis: this session's own, emptied before the test."""
    assert servers.redis.process is not None
    _connected(servers.redis.process.pid).flushall()
    return servers.redis.url


@pytest.fixture
def full_redis(clean_redis: str) -> Generator[None, None, None]:
    """This session's Redis takes no writes."""
    assert servers.redis.process is not None
    client: Any = _connected(servers.redis.process.pid)
    client.config_set("maxmemory", 1)
    yield
    client.config_set("maxmemory", 0)


@functools.cache
def _connected(pid: int) -> redis.Redis:
    """A client that all tests use: connecting and asking who answers takes sixteen times as long as emptying."""
    client = redis.Redis.from_url(servers.redis.url)
    info = client.info("server")
    assert isinstance(info, dict)
    assert info["process_id"] == pid, "this is not the Redis this session started"
    return client


@pytest.fixture
async def layer(clean_redis: str) -> AsyncGenerator[None, None]:
    """The channel layer on an empty Redis; closed after the test."""
    from chat.eventlog import store

    yield
    await store.channel_layer().close()


def make_user(name: str) -> User:
    from accounts.models import User

    return User.objects.create_user(f"{name.lower()}@example.org", PASSWORD, name=name)


@pytest.fixture
def alice(db: None) -> User:
    """The owner of what a test makes."""
    return make_user("Alice")


@pytest.fixture
def bob(db: None) -> User:
    """A member of what is Alice's, where a test says so."""
    return make_user("Bob")


@pytest.fixture
def mallory(db: None) -> User:
    """An outsider: may see nothing of Alice's."""
    return make_user("Mallory")


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def live(request: pytest.FixtureRequest) -> Generator[Callable[..., Stack], None, None]:
    """Starts real processes: `live(web=1, workers=1, beat=False, env={}, own_postgres=False)` (tests/stack.py)."""
    from tests.stack import run_stack

    with contextlib.ExitStack() as running:
        stacks: list[Stack] = []

        def start(**options: Any) -> Stack:
            stacks.append(running.enter_context(run_stack(**options)))
            return stacks[-1]

        yield start
        if request.node.stash.get(FAILED, False):
            for stack in stacks:
                print(stack.logs())


@pytest.fixture
def no_rules() -> Generator[None, None, None]:
    """No moderation rule is in force before and after the test, whatever this process has read."""
    from chat.moderation.rules import clear_rules_cache

    clear_rules_cache()
    yield
    clear_rules_cache()


@pytest.fixture
def one_model(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The only model there is, "small"; any number of answers at once; 1000 tokens held back for each, both ways."""
    from chat.catalog import offered_models

    monkeypatch.setattr(offered_models, "published_models", lambda: [{"id": "small", "label": "small"}])
    settings.RATE_RUNS_PER_USER = 0
    settings.QUOTA_INPUT_TOKENS = settings.QUOTA_OUTPUT_TOKENS = 1000
