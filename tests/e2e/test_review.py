"""Moderation in a real browser: a report, one's own cases and an appeal; and the review from the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browsing import Watch, answers, ended, log_in, send, shoot_views
from tests.stack import PASSWORD, Stack

pytestmark = pytest.mark.timeout(240)  # the stack is started by the first one

MODERATORS = f"""
from django.contrib.auth.models import Group
from accounts.models import User
for name in ("mo", "nora"):
    user = User.objects.filter(email=f"{{name}}@example.org").first()
    user = user or User.objects.create_user(f"{{name}}@example.org", {PASSWORD!r}, name=name.title(), is_staff=True)
    user.groups.set([Group.objects.get(name="moderator")])
"""
CASE = """
from chat.models import Message, ModerationCase
message = Message.objects.filter(role="user").order_by("-id").first()
case = ModerationCase.objects.create(
    target="message", target_id=message.pk, conversation=message.conversation, person=message.author,
    direction="asked", origin="rule", action="mask", category="personal", severity=3, original=message.text,
    notice="Numbers of badgers are replaced.",
    rules=[{"rule": str(message.pk), "name": "Badgers", "version": 1, "places": [[3, 9]]}],
)
message.text = message.text[:3] + "***" + message.text[9:]
message.moderation = {"action": "mask", "reason": case.notice, "case_id": str(case.pk)}
message.save()
"""
DECIDE = """
from accounts.models import User
from chat.models import ModerationCase
from chat.models.moderation import DecisionKind
from chat.review import decisions
mo, case = User.objects.get(email="mo@example.org"), ModerationCase.objects.get()
decisions.claim(mo, case.pk)
decisions.decide(mo, case.pk, decisions.Outcome(DecisionKind.DELETE, DecisionKind.SUSPEND, hours=24))
"""
FORGET = """
from accounts.models import User
from chat.models import ModerationCase
ModerationCase.objects.all().delete()
User.objects.update(suspended_until=None)
"""


def run(stack: Stack, script: str) -> None:
    stack.manage("shell", "--no-imports", "-c", script)


@pytest.fixture(autouse=True)
def no_cases(stack: Stack) -> Iterator[None]:
    run(stack, MODERATORS)
    yield
    run(stack, FORGET)


@pytest.fixture(scope="module")
def staff(browser: Browser, stack: Stack) -> Iterator[BrowserContext]:
    run(stack, MODERATORS)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    log_in(context, stack, "mo").close()
    yield context
    context.close()


def test_report_own_cases_and_appeal(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    send(page, "my badger number is 4711 [[tokens=3]]")
    answer = ended(page)
    answer.hover()
    answer.get_by_role("button", name="Report").click()
    dialog = page.get_by_role("dialog", name="Report this message")
    dialog.get_by_label("Spam").check()
    dialog.get_by_label("Note").fill("It says nothing.")
    shoot_views(page, "report")
    dialog.get_by_role("button", name="Report", exact=True).click()
    expect(page.get_by_text("Reported. Reviewers will look at it.")).to_be_visible()
    expect(answers(page).last.get_by_role("button", name="Reported")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(answers(page).last.get_by_role("button", name="Reported")).to_have_count(1)
    run(stack, FORGET)

    # A reviewer decides: the open page learns it at once, and nothing more can be sent.
    run(stack, CASE)
    run(stack, DECIDE)
    expect(page.locator("#suspended")).to_contain_text("Your account is suspended until")
    expect(page.locator("#text")).to_be_disabled()
    shoot_views(page, "suspended")
    page.locator("#decisions").get_by_role("link", name="Your cases").click()
    expect(page.get_by_text("A reviewer removed your text")).to_be_visible()
    page.get_by_text("Appeal", exact=True).click()
    page.get_by_label("Why is this decision wrong?").fill("Badgers have no numbers.")
    shoot_views(page, "cases")
    page.get_by_role("button", name="Send the appeal").click()
    expect(page.get_by_text("It has been sent to the reviewers.")).to_be_visible()
    expect(page.get_by_text("Your appeal is waiting for another reviewer")).to_be_visible()
    assert stack.sql("SELECT status FROM chat_moderationcase")[0]["status"] == "appealed"
    assert not watch.complaints, watch.complaints


def test_the_review_from_the_keyboard(page: Page, staff: BrowserContext, stack: Stack) -> None:
    send(page, "my badger number is 4711 [[tokens=3]]")
    ended(page)
    run(stack, CASE)
    desk = staff.new_page()
    watch = Watch(desk, stack.url)
    desk.goto(f"{stack.url}/admin/chat/moderationcase/")
    keys = desk.keyboard
    expect(desk.locator("[data-row]")).to_have_count(1)
    shoot_views(desk, "queue")
    keys.press("?")
    expect(desk.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    keys.press("Escape")
    keys.press("j")
    expect(desk.locator("[data-row]")).to_be_focused()
    keys.press("k")
    keys.press("Enter")
    expect(desk.locator("mark")).to_have_text("badger")
    keys.press("u")  # back to the queue
    expect(desk.locator("[data-row]")).to_have_count(1)
    keys.press("j")
    keys.press("c")  # claims, and opens
    expect(desk.get_by_role("button", name="Decide")).to_be_visible()
    keys.press("d")
    keys.press("w")
    expect(desk.get_by_role("radio", name="Delete")).to_be_checked()
    expect(desk.get_by_role("radio", name="Warn")).to_be_checked()
    keys.press("n")
    keys.type("Two jokes, d and w")
    shoot_views(desk, "case")
    keys.press("Control+Enter")
    expect(desk.get_by_text("Decided. The text of the message was removed.")).to_be_visible()
    expect(desk.get_by_text("No cases are waiting.")).to_be_visible()
    made = stack.sql("SELECT kind, note FROM chat_moderationdecision ORDER BY id")
    assert [tuple(row.values()) for row in made] == [("delete", "Two jokes, d and w"), ("warn", "Two jokes, d and w")]
    desk.goto(f"{stack.url}/admin/moderation/")
    expect(desk.get_by_role("heading", name="By rule")).to_be_visible()
    shoot_views(desk, "figures")
    assert not watch.complaints, watch.complaints
    assert not watch.foreign, watch.foreign
    desk.close()

    # The author's open page shows it, and so does a reload.
    expect(page.locator(".message-user .message-body").last).not_to_contain_text("badger")
    expect(page.locator("#decisions")).to_be_visible()
