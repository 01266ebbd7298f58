"""What staff do, in a real browser: look at the dashboard, stop an answer, take the audit log along."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browsing import STREAMING, Watch, ended, send, shoot
from tests.e2e.browsing import log_in as log_in_as
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import PASSWORD, Stack

pytestmark = pytest.mark.timeout(240)  # the stack is started by the first one

ROOT = f"""
from accounts.models import User
User.objects.create_superuser("staff@example.org", {PASSWORD!r}, name="Staff")
"""


@pytest.fixture(scope="module")
def staff_state(browser: Browser, stack: Stack) -> Iterator[BrowserContext]:
    stack.manage("shell", "--no-imports", "-c", ROOT)
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    context.set_default_timeout(20_000)
    log_in_as(context, stack, "staff").close()
    yield context
    context.close()


@pytest.fixture
def desk(staff_state: BrowserContext) -> Iterator[Page]:
    page = staff_state.new_page()
    yield page
    page.close()


def tile(page: Page, title: str) -> str:
    return page.locator(".staff-tiles li", has=page.get_by_text(title, exact=True)).locator("b").inner_text()


def test_the_dashboard_follows_what_happens(page: Page, desk: Page, stack: Stack) -> None:
    send(page, "Go [[tokens=3]]")
    ended(page)
    watch = Watch(desk, stack.url)
    desk.goto(f"{stack.url}/admin/")
    assert int(tile(desk, "Workers")) == 1
    assert int(tile(desk, "Open sockets")) >= 1
    runs = int(tile(desk, "Runs"))
    assert runs >= 1
    shoot(desk, "dashboard")

    # It refreshes itself, and what is open stays open.
    desk.locator("#runs-title").locator("..").get_by_text("Show as table").click()
    send(page, "Once more [[tokens=3]]")
    ended(page, 2)
    expect(desk.locator("[data-piece=past] b").first).to_have_text(str(runs + 1), timeout=30_000)
    expect(desk.locator("details[data-keep=runs]")).to_have_attribute("open", "")

    # A figure leads to what is behind it.
    desk.locator(".staff-tiles a", has=desk.get_by_text("Runs", exact=True)).click()
    expect(desk.locator("#result_list, .result-list, table").first).to_be_visible()
    assert "period=" in desk.url
    desk.goto(f"{stack.url}/admin/?period=30d")
    expect(desk.get_by_role("link", name="30 days")).to_have_attribute("aria-current", "true")
    assert not watch.complaints, watch.complaints
    assert not watch.foreign, watch.foreign


def test_stopping_an_answer_closes_it_at_the_model(page: Page, desk: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    send(page, "On and on [[tokens=4000 rate=40]]")
    page.locator(f"{STREAMING} .prose p").wait_for()
    request = upstream.chats[-1]
    watch = Watch(desk, stack.url)
    desk.goto(f"{stack.url}/admin/chat/run/?status__exact=running")
    desk.locator("#result_list a[href*='/change/']").first.click()
    expect(desk.get_by_text("Claimed by a worker")).to_be_visible()
    shoot(desk, "run-running")
    stop = desk.get_by_role("button", name="Stop")
    stop.wait_for()
    pressed = time.monotonic()
    stop.click()
    expect(desk.get_by_text("Stop requested.")).to_be_visible()
    assert request.wait_ended()
    assert request.disconnected_at is not None
    assert request.disconnected_at - pressed < 3  # from the click on: the page, the worker, the model's endpoint
    expect(ended(page)).to_have_attribute("data-status", "stopped")

    # Stopped, it can be asked again; that is another run.
    desk.reload()
    stopped = desk.url
    expect(desk.get_by_text("Stopped after")).to_be_visible()
    desk.get_by_role("button", name="Retry").click()
    expect(desk.get_by_text("Retried on behalf of alice@example.org.")).to_be_visible()
    assert desk.url != stopped
    desk.get_by_role("button", name="Stop").click()
    expect(desk.get_by_text("Stop requested.").or_(desk.get_by_text("Stopped."))).to_be_visible()
    assert not watch.complaints, watch.complaints


def test_taking_the_audit_log_along(desk: Page, stack: Stack, tmp_path: Path) -> None:
    watch = Watch(desk, stack.url)
    conversation = stack.sql("SELECT id FROM chat_conversation LIMIT 1")[0]["id"]
    desk.goto(f"{stack.url}/admin/chat/conversation/{conversation}/change/")
    desk.goto(f"{stack.url}/admin/accounts/auditentry/?verb=read_body")
    expect(desk.get_by_text("read_body").locator("visible=true").first).to_be_visible()
    shoot(desk, "audit")
    with desk.expect_download() as download:
        desk.get_by_role("link", name="Export as CSV").click()
    kept = tmp_path / "audit.csv"
    download.value.save_as(kept)
    *lines, end = kept.read_text().splitlines()
    rows = list(csv.DictReader(lines))
    assert end == f"# rows: {len(rows)}"
    assert {row["verb"] for row in rows} == {"read_body"}
    assert str(conversation) in {row["object_id"] for row in rows}
    exports = stack.sql("SELECT details FROM accounts_auditentry WHERE verb = 'export'")
    assert "verb=read_body" in [row["details"] for row in exports]
    assert not watch.complaints, watch.complaints
