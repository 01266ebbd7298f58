"""A file that a rule withholds: what the person reads, and the way of its case through the review."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.attaching import choose, notes, uploaded
from tests.e2e.browsing import Watch, answers, ended, send, shoot_views
from tests.e2e.test_review import no_cases as no_cases  # a fixture
from tests.e2e.test_review import staff as staff  # a fixture
from tests.fixtures.stack_rules import rules_of
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack
WORD, PROBE = "Pagequagga", "Pageprobe"
SAID = f"Dear all,\n\nthe {WORD} arrives on Monday. Please do not tell anybody before then.\n"


@pytest.fixture(scope="module", autouse=True)
def _rules(stack: Stack) -> Iterator[None]:
    rules = [{"name": "Page names", "action": "block", "words": [WORD, PROBE], "directions": ["files"], "severity": 3}]
    with rules_of(stack, *rules):
        yield


@pytest.fixture
def ruled(page: Page, stack: Stack) -> Page:
    """Once the rule is in force."""
    until = time.monotonic() + 60
    count = 0
    while time.monotonic() < until:
        count += 1
        choose(page, notes("probe.txt", PROBE))
        uploaded(page)
        send(page, "Probe [[tokens=2]]")
        if "rules" in ended(page, count).inner_text():
            page.goto(page.url.partition("/c/")[0])
            stack.sql("DELETE FROM chat_moderationcase")
            return page
    raise AssertionError("the rule is not in force")


def test_a_file_that_a_rule_withholds(ruled: Page, staff: BrowserContext, stack: Stack) -> None:
    page = ruled
    watch = Watch(page, stack.url)
    choose(page, notes("announcement.txt", SAID))
    uploaded(page)
    send(page, "What does it say? [[tokens=5]]")
    used = ended(page).locator(".file-uses")
    expect(used).to_contain_text("announcement.txt")
    expect(used).to_contain_text("This site's rules do not let its contents go to a model.")
    shoot_views(page, "file-withheld")

    desk = staff.new_page()
    desk.goto(f"{stack.url}/admin/chat/moderationcase/?direction=files")
    expect(desk.locator("[data-row]")).to_have_count(1)
    expect(desk.locator("body")).not_to_contain_text("announcement.txt")
    shoot_views(desk, "file-queue")
    desk.keyboard.press("j")
    desk.keyboard.press("c")
    expect(desk.locator("mark")).to_have_text(WORD)
    expect(desk.locator("#original")).to_contain_text("announcement.txt")
    desk.keyboard.press("r")
    shoot_views(desk, "file-case", full_page=True)
    desk.keyboard.press("Control+Enter")
    expect(desk.get_by_text("Models get the file from the next answer on.")).to_be_visible()
    desk.close()

    page.goto(f"{stack.url}/cases/")
    expect(page.get_by_text("A file that you attached")).to_be_visible()
    shoot_views(page, "file-own-cases")
    page.go_back()
    send(page, "And now? [[tokens=5]]")
    expect(ended(page, 2).locator(".file-uses")).to_contain_text("all of announcement.txt")
    expect(answers(page)).to_have_count(2)
    assert not watch.complaints, watch.complaints
