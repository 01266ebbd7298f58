"""Unread marks, how far others have read, the title of the tab, and notified devices."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from tests.e2e.browsing import Watch, reopen, send, shoot_views
from tests.e2e.test_members import add, begin
from tests.fakes.push_service import PushBrowser
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack


def test_news_of_a_shared_conversation(page: Page, bob: Page, stack: Stack) -> None:
    watched = Watch(page, stack.url), Watch(bob, stack.url)
    url = begin(page, "Where shall we meet?")
    add(page, "bob@example.org")
    expect(page.locator(".person-name")).to_have_text(["Alice (you)", "Bob"])
    page.keyboard.press("Escape")
    entry = bob.locator(".item", has_text="Where shall we meet?")
    expect(entry).to_be_visible()
    expect(entry.locator(".mark-unread")).to_have_count(0)  # the past is no news
    send(page, "@model At six, at the station")
    expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(2)
    # The message and its answer.
    expect(entry.locator(".mark-unread")).to_have_text("22 unread")
    expect(bob).to_have_title("(2) Antiphon")
    expect(entry.get_by_role("link")).to_have_accessible_description("2 unread")
    shoot_views(bob, "unread")
    # On a phone the list is closed: the button that opens it has a dot.
    wide = bob.viewport_size
    bob.set_viewport_size({"width": 390, "height": 844})
    opener = bob.locator("[data-action=open-sidebar]")
    expect(opener).to_have_accessible_name("Open sidebar: 2 unread")
    expect(opener).to_have_attribute("data-news", "")
    shoot_views(bob, "unread-phone")
    if wide:
        bob.set_viewport_size(wide)
    entry.get_by_role("link").click()
    expect(bob).to_have_url(url)
    expect(bob.locator(".new-messages")).to_have_text("New messages")
    below = bob.locator(".new-messages + .message")
    expect(below).to_contain_text("At six, at the station")
    expect(bob.locator(".item[data-id] .mark-unread:visible")).to_have_count(0)
    expect(bob).to_have_title("Where shall we meet? · Antiphon")
    expect(opener).not_to_have_attribute("data-news", "")
    # Alice sees where he is, also after a reload.
    read = page.locator(".message").last.locator(".read-by")
    expect(read).to_have_text("BRead up to here by Bob")
    shoot_views(page, "read-by")
    shoot_views(bob, "new-messages")
    page.reload()
    expect(read).to_have_text("BRead up to here by Bob")
    send(bob, "@model I will be there")
    expect(bob.locator(".new-messages")).to_have_count(0)
    expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(3)
    expect(page.locator(".read-by")).to_have_count(1)
    assert [watch.complaints for watch in watched] == [[], []]


def await_read(page: Page, stack: Stack) -> None:
    """Waits until the server knows that all is read."""
    read = "SELECT 1 FROM chat_conversation c JOIN chat_member m ON m.seen_message_id = c.tip_id WHERE c.id = %s"
    for _ in range(200):
        if stack.sql(read, page.url.rstrip("/").rpartition("/")[2]):
            return
        page.wait_for_timeout(100)
    raise AssertionError("the page sends no position")


def test_an_answer_that_ends_while_nobody_looks(page: Page, context: BrowserContext, stack: Stack) -> None:
    stack.sql("UPDATE chat_member SET seen_until = now()")  # of other tests
    page.reload()
    begin(page, "First [[tokens=3]]")
    await_read(page, stack)
    # The other tab is before the eyes: headless pages are all visible, so this one is told that it is not.
    page.evaluate(
        "Object.defineProperty(document, 'visibilityState', {get: () => window.hiddenNow ? 'hidden' : 'visible'});"
        "window.hiddenNow = true; document.dispatchEvent(new Event('visibilitychange'))"
    )
    send(page, "Second [[tokens=10 rate=50]]")
    expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(2)
    expect(page).to_have_title("(1) Answer ready · First [[tokens=3]] · Antiphon")
    other = context.new_page()
    other.goto(f"{stack.url}/")
    entry = other.locator(".item", has_text="First")
    expect(entry.locator(".mark-unread")).to_have_text("11 unread")
    page.evaluate("window.hiddenNow = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page).to_have_title("First [[tokens=3]] · Antiphon")
    expect(entry.locator(".mark-unread")).to_have_count(0)  # the devices agree
    # A running answer is marked, on all of them.
    send(page, "Third [[tokens=2000 rate=20]]")
    expect(entry.locator(".mark-runs")).to_have_text("Answer in progress")
    shoot_views(other, "running")
    expect(page.locator(".message-assistant[data-status=streaming]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".message-assistant[data-status=stopped]")).to_be_visible()
    expect(entry.locator(".mark-runs")).to_have_count(0)


def test_a_notice_that_comes_late_changes_no_mark(page: Page, stack: Stack) -> None:
    """Two processes send them: one read before an answer ended may arrive after the one read then."""
    begin(page, "Which comes first?")
    ends: list[str] = []

    def handle(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def pass_on(text: str | bytes) -> None:
            route.send(text)
            frame = json.loads(text)
            if isinstance(frame, dict) and frame["type"] == "unread" and not frame["running"]:
                ends.append(str(text))
                route.send(json.dumps({**frame, "running": True, "version": frame["version"] - 1}))

        server.on_message(pass_on)

    reopen(page, handle)
    send(page, "And now? [[tokens=3]]")
    expect(page.locator(".message-assistant[data-status=complete]")).to_have_count(2)
    for _ in range(200):
        if ends:
            break
        page.wait_for_timeout(100)
    assert ends
    page.wait_for_timeout(500)  # nothing is to be seen of what came late
    expect(page.locator(".item", has_text="Which comes first?").locator(".mark-runs")).to_have_count(0)


def test_names_leave_the_words_around_them_alone(page: Page, bob: Page, stack: Stack) -> None:
    stack.sql("UPDATE accounts_user SET name = %s WHERE email = 'bob@example.org'", "\u202eBob\u202c עלי")
    try:
        begin(page, "Names")
        add(page, "bob@example.org")
        name = page.locator(".person-name").nth(1)
        expect(name).to_have_text("Bob עלי")
        assert page.locator(".person-name bdi").count() == 2
        stack.sql("UPDATE accounts_user SET name = %s WHERE email = 'bob@example.org'", "Аlice")  # a Cyrillic A
        page.keyboard.press("Escape")
        page.get_by_role("button", name="People").click()
        expect(page.locator(".person-alike:visible")).to_have_count(2)
        shoot_views(page, "alike")
    finally:
        stack.sql("UPDATE accounts_user SET name = 'Bob' WHERE email = 'bob@example.org'")


SUBSCRIBE = """
([endpoint, p256dh, auth]) => {
  Notification.requestPermission = async () => "granted";
  PushManager.prototype.getSubscription = async () => null;
  PushManager.prototype.subscribe = async (options) => {
    window.asked = options;
    return { toJSON: () => ({ endpoint, keys: { p256dh, auth } }), unsubscribe: async () => true };
  };
}
"""


def test_a_device_that_is_notified(context: BrowserContext, page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    page.goto(f"{stack.url}/accounts/settings/")
    page.get_by_role("link", name="Notifications").last.click()
    start = page.get_by_role("button", name="Notify me on this device")
    expect(start).to_be_enabled()
    shoot_views(page, "notifications", full_page=True)
    page.evaluate("() => { Notification.requestPermission = async () => 'denied' }")
    start.click()
    expect(page.locator("#notify-words")).to_contain_text("does not allow notifications")
    browser = PushBrowser()
    endpoint = "https://updates.push.services.mozilla.com/wpush/v2/secret"
    page.evaluate(SUBSCRIBE, [endpoint, browser.p256dh, browser.auth])
    start.click()
    expect(page.get_by_text("This device is notified.")).to_be_visible()
    expect(page.get_by_text("this browser")).to_be_visible()
    shoot_views(page, "notified", full_page=True)
    [row] = stack.sql("SELECT endpoint, with_text FROM chat_pushsubscription")
    assert row == {"endpoint": endpoint, "with_text": False}
    # Its service worker shows what it is sent, only while no page is in view.
    context.grant_permissions(["notifications"])
    page.goto("about:blank")
    other = context.new_page()
    other.goto(f"{stack.url}/accounts/notifications/")
    protocol = context.new_cdp_session(other)
    found: list[dict[str, Any]] = []
    protocol.on("ServiceWorker.workerRegistrationUpdated", lambda event: found.extend(event["registrations"]))
    protocol.send("ServiceWorker.enable")
    other.evaluate("navigator.serviceWorker.ready.then(() => null)")
    assert found
    news = {"title": "Antiphon", "body": "An answer is ready.", "tag": "t", "url": "/c/x/"}
    deliver = {"origin": stack.url, "registrationId": found[0]["registrationId"], "data": json.dumps(news)}
    protocol.send("ServiceWorker.deliverPushMessage", deliver)
    shown = (
        "navigator.serviceWorker.ready.then((one) => one.getNotifications()).then((all) => all.map((one) => one.body))"
    )
    assert other.evaluate(shown) == []
    other.get_by_role("button", name="Remove Chrome on Linux").click()
    expect(other.get_by_text("This device gets no more notifications.")).to_be_visible()
    assert stack.sql("SELECT count(*) AS n FROM chat_pushsubscription") == [{"n": 0}]
    assert watch.complaints == []
