"""The search sheet, commands, finding within a conversation, and jumps in a long one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import shoot, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)

LONG = """
import datetime, uuid
from django.utils import timezone
from accounts.models import User
from chat.models import Conversation, Member, Message
alice = User.objects.get(email="alice@example.org")
made = Conversation.objects.create(id=uuid.UUID({id!r}), title="Field notes on herons")
Member.objects.create(conversation=made, user=alice, role="owner")
begun = timezone.now() - datetime.timedelta(days=300)
rows, last = [], None
for n in range(300):
    text = f"line {{n}}" + (" with a kingfisher" if n in (40, 290) else "")
    role, author = ("assistant", None) if n % 2 else ("user", alice)
    last = Message(conversation=made, parent=last, role=role, author=author, text=text,
        html=f"<p>{{text}}</p>" if n % 2 else "", created_at=begun + datetime.timedelta(days=n))
    rows.append(last)
rows.append(Message(conversation=made, parent=rows[40], role="assistant", text="a pelican <b>instead</b>",
    html="<p>a pelican &lt;b&gt;instead&lt;/b&gt;</p>", created_at=begun + datetime.timedelta(days=40)))
Message.objects.bulk_create(rows)
Conversation.objects.filter(pk=made.pk).update(tip=last)
"""


@pytest.fixture(scope="module")
def long(stack: Stack) -> Iterator[str]:
    """The address of a conversation of 300 messages; on another branch is one about a pelican."""
    made = uuid.uuid4()
    stack.manage("shell", "--no-imports", "-c", LONG.format(id=str(made)))
    yield f"{stack.url}/c/{made}/"
    forget = f"from chat.models import Conversation; Conversation.objects.get(pk={str(made)!r}).delete()"
    stack.manage("shell", "--no-imports", "-c", forget)


def search(page: Page, words: str) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", "open")  # the page has started
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search", exact=True).fill(words)


class TestTheSheet:
    def test_a_hit_on_another_branch_opens_there(self, page: Page, long: str) -> None:
        search(page, "pelican")
        dialog = page.locator("#search")
        option = dialog.get_by_role("option", name="pelican").first
        expect(option).to_contain_text("a pelican <b>instead</b>")
        expect(option.locator("mark")).to_have_text("pelican")
        expect(option).to_have_class("search-row is-active")
        expect(dialog.get_by_role("status")).to_have_text("1 result")
        assert not violations(page, "#search")
        page.keyboard.press("Enter")
        page.wait_for_url("**/c/*/")
        found = page.locator(".message.is-found")
        expect(found).to_contain_text("a pelican")
        expect(found).to_be_in_viewport()
        expect(found).to_be_focused()
        expect(page.locator(".message", has_text="line 39").first).to_be_attached()
        expect(page.locator(".message", has_text="line 290")).to_have_count(0)

    def test_commands_by_keyboard(self, page: Page) -> None:
        search(page, "dark")
        expect(page.get_by_role("option", name="Dark theme")).to_have_attribute("aria-selected", "true")
        page.keyboard.press("Enter")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        search(page, "light")
        page.keyboard.press("Enter")
        expect(page.locator("html")).to_have_attribute("data-theme", "light")
        search(page, "keyb short")
        page.keyboard.press("Enter")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("Escape")
        search(page, "")
        expect(page.get_by_role("option").first).to_have_text("New conversation")
        page.keyboard.press("Control+k")
        expect(page.locator("#search")).not_to_be_visible()

    def test_filters_errors_and_nothing(self, page: Page, long: str) -> None:
        search(page, "kingfisher")
        rows = page.locator("#search-list").get_by_role("option")
        expect(rows).to_have_count(2)
        page.get_by_role("button", name="Filters").click()
        page.locator("#search-filters select[name=scope]").select_option("shared")
        expect(page.get_by_text("Nothing found.")).to_be_visible()
        assert not violations(page, "#search")
        page.get_by_role("button", name="Clear filters").click()
        expect(rows).to_have_count(2)
        page.route("**/search/?*", lambda route: route.abort())
        page.get_by_role("combobox", name="Search", exact=True).fill("heron")
        expect(page.locator("#search").get_by_role("alert")).to_contain_text("can’t be reached")

    def test_it_looks_right(self, page: Page, browser: Browser, long: str) -> None:
        search(page, "kingfisher")
        expect(page.locator("#search mark").first).to_be_visible()
        shoot_views(page, "search")


class TestInAConversation:
    def test_finding_goes_where_nothing_is_loaded(self, page: Page, long: str) -> None:
        page.goto(long)
        expect(page.locator(".message", has_text="line 299")).to_be_visible()
        page.locator("#chat-menu").click()
        page.get_by_role("menuitem", name="Find in this conversation").click()
        page.locator("#find-field").fill("kingfisher")
        count = page.locator(".find-count")
        expect(count).to_have_text("2 of 2")
        expect(page.locator(".message.is-found")).to_contain_text("line 290")
        page.keyboard.press("Enter")
        expect(count).to_have_text("1 of 2")
        expect(page.locator(".message.is-found")).to_contain_text("line 40 with")
        expect(page.locator(".message.is-found")).to_be_in_viewport()
        expect(page.locator(".message", has_text="line 299")).to_have_count(0)
        assert not violations(page, "#find")
        page.keyboard.press("Escape")
        expect(page.locator("#find")).not_to_be_visible()

    def test_jumps_and_a_message_from_the_middle(self, page: Page, long: str) -> None:
        page.goto(long)
        expect(page.locator(".message", has_text="line 299")).to_be_visible()
        page.locator("#chat-menu").click()
        page.get_by_role("menuitem", name="Jump to the start").click()
        expect(page.locator(".message.is-found")).to_contain_text("line 0")
        expect(page.locator(".message")).to_have_count(40)
        page.locator("#scroller").evaluate("(scroller) => { scroller.scrollTop = scroller.scrollHeight }")
        expect(page.locator(".message", has_text="line 79")).to_be_attached()
        page.locator("#text").fill("And one more")
        page.keyboard.press("Enter")
        expect(page.locator(".message", has_text="line 299")).to_be_attached()
        expect(page.locator(".message", has_text="And one more")).to_be_in_viewport()
        expect(page.locator(".later")).to_have_count(0)

    def test_a_date(self, page: Page, long: str, stack: Stack) -> None:
        page.goto(long)
        expect(page.locator(".message", has_text="line 299")).to_be_visible()
        day = stack.sql("SELECT (now() - interval '200 days')::date::text AS day")
        search(page, "jump date")
        page.keyboard.press("Enter")
        page.get_by_label("The first message from this day on").fill(day[0]["day"])
        page.get_by_role("button", name="Jump", exact=True).click()
        expect(page.locator(".message.is-found")).to_be_in_viewport()
        expect(page.locator(".message.is-found")).to_contain_text("line 100")


def test_on_a_phone(page: Page, long: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Open sidebar").click()
    page.get_by_role("button", name="Search", exact=True).click()
    field = page.get_by_role("combobox", name="Search", exact=True)
    field.fill("pelican")
    row = page.locator("#search").get_by_role("option", name="pelican").first
    expect(row).to_be_visible()
    box = row.bounding_box()
    assert box
    assert box["height"] >= 44
    shoot(page, "search-phone")
    row.click()
    expect(page.locator(".message.is-found")).to_contain_text("a pelican")
