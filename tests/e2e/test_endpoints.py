"""From staff's page to an answer: an endpoint is set up and tested, a person chooses its model, then a preset."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
import redis
from playwright.sync_api import Browser, Page, expect
from psycopg import sql

from tests.e2e.browsing import Watch, choose_model, ended, log_in, send, shoot
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import PASSWORD, Stack

CANARY = "sk-browser-canary-9b41"
MODEL = "crow-7b"
SEEN_SECONDS = 14.0  # what docs/endpoints.md promises is 10; this machine may be busy
SETUP = (
    f"from accounts.models import User; User.objects.create_superuser('root@example.org', {PASSWORD!r}, name='Root')"
)


@pytest.fixture
def other() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key=CANARY) as server:
        server.models = [MODEL]
        yield server


@pytest.fixture
def root(browser: Browser, stack: Stack) -> Iterator[Page]:
    stack.manage("shell", "--no-imports", "-c", SETUP)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(40_000)
    yield log_in(context, stack, "root")
    context.close()
    stack.sql("UPDATE chat_conversation SET preset_id = NULL")
    for table in ("chat_preset", "workers_endpoint"):
        stack.sql(f"DELETE FROM {table}")  # noqa: S608 -- other tests have the stack to themselves again


def everything_kept(stack: Stack) -> str:
    """Every row of every table, every key of Redis, every line of every log."""
    found = [process.output() for process in stack.processes]
    with psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))
            found += [row[0] for row in connection.execute(query)]
    client = redis.Redis.from_url(stack.redis.url)
    found += [repr(client.dump(name)) for name in client.scan_iter()]
    client.close()
    return "\n".join(found)


@pytest.mark.timeout(180)
def test_from_staffs_page_to_an_answer(page: Page, root: Page, stack: Stack, other: FakeOpenAI) -> None:
    watch = Watch(root, stack.url)
    shown: list[str] = []

    # A wrong key is named; the right one works.
    root.goto(f"{stack.url}/admin/workers/endpoint/add/")
    root.get_by_label("Name").fill("Rookery")
    root.get_by_label("Address").fill(other.url)
    root.get_by_label("API key").fill("sk-wrong")
    root.get_by_role("button", name="Save", exact=True).click()
    root.get_by_role("button", name="Test connection").click()
    expect(root.get_by_text("The endpoint rejected the API key (401).")).to_be_visible()
    root.get_by_label("API key").fill(CANARY)
    root.get_by_role("button", name="Save and continue editing").click()
    saved = time.monotonic()
    root.get_by_role("button", name="Test connection").click()
    expect(root.get_by_text(f"It works: {MODEL} started to answer")).to_be_visible()
    shoot(root, "endpoint")
    shown.append(root.content())

    # Workers offer its model within seconds, and a preset may name it.
    choice = root.locator("#id_model option", has_text=MODEL)
    root.goto(f"{stack.url}/admin/chat/preset/add/")
    while not choice.count():
        assert time.monotonic() - saved < SEEN_SECONDS, f"{MODEL} is not offered"
        root.wait_for_timeout(300)
        root.reload()
    root.get_by_label("Name").fill("Raven")
    root.get_by_label("Description").fill("Answers like a bird of ill omen")
    root.get_by_label("System prompt").fill("You are a raven.")
    root.locator("#id_model").select_option(MODEL)
    root.get_by_label("Temperature").fill("0.2")
    shoot(root, "preset")
    root.get_by_role("button", name="Save", exact=True).click()
    expect(root.get_by_text("Raven").first).to_be_visible()
    root.goto(f"{stack.url}/admin/workers/endpoint/")
    shoot(root, "endpoints")
    shown.append(root.content())
    assert not watch.complaints, watch.complaints

    # A person chooses the model.
    page.reload()
    choose_model(page, MODEL)
    send(page, "Who is there? [[tokens=3]]")
    expect(ended(page)).to_contain_text("tok2")
    assert other.chats[-1].body["model"] == MODEL
    assert other.chats[-1].headers["authorization"] == f"Bearer {CANARY}"

    # Then the preset: its prompt and temperature reach the model, and the conversation says which it is.
    page.goto(f"{stack.url}/")
    picker = page.locator("#model")
    choose_model(page, "Raven")
    expect(picker).to_have_attribute("title", "Answers like a bird of ill omen")
    page.locator("#model").click()
    expect(page.get_by_role("option", name="Raven, Answers like a bird of ill omen")).to_be_visible()
    shoot(page, "picker")
    page.keyboard.press("Escape")
    send(page, "Who is there? [[tokens=3]]")
    expect(ended(page)).to_contain_text("tok2")
    expect(page.locator("#preset")).to_have_text("Raven")
    expect(picker).to_have_attribute("data-value", MODEL)
    asked = other.chats[-1].body
    assert (asked["messages"][0], asked["temperature"]) == ({"role": "system", "content": "You are a raven."}, 0.2)
    page.reload()
    expect(page.locator("#preset")).to_have_text("Raven")
    send(page, "And now? [[tokens=2]]")
    ended(page, 2)
    assert other.chats[-1].body["messages"][0]["content"] == "You are a raven."
    shoot(page, "preset-conversation")
    shown.append(page.content())

    [row] = stack.sql("SELECT DISTINCT r.endpoint FROM chat_run r WHERE r.model = %s", MODEL)
    assert row["endpoint"].startswith("127.0.0.1:")
    assert CANARY not in "".join(shown)
    assert CANARY not in everything_kept(stack)
