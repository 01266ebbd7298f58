"""The admin and the account pages in a real browser: they work, and the Content-Security-Policy refuses none of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stack import PASSWORD, Stack, run_stack

ROOT = "root@example.org"
SETUP = f"""
from accounts.models import User
from chat.models import Conversation, Member, Message, Run
from django.utils import timezone
User.objects.create_superuser({ROOT!r}, {PASSWORD!r}, name="Root")
alice = User.objects.get(email="alice@example.org")
conversation = Conversation.objects.create(title="About crocodiles", model="m-1")
Member.objects.create(conversation=conversation, user=alice, role="owner")
question = Message.objects.create(conversation=conversation, role="user", author=alice, text="What do they eat?")
answer = Message.objects.create(conversation=conversation, parent=question, role="assistant", text="Fish.")
Run.objects.create(conversation=conversation, prompt=question, message=answer, requested_by=alice, model="m-1",
                   status="failed", finished_at=timezone.now(), error_code="upstream_timeout", queued_ms=3,
                   first_token_ms=210, total_ms=30000, input_tokens=12, output_tokens=3)
print(conversation.pk, answer.pk, Run.objects.get().pk, alice.pk)
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """With people who are not those of other files: Bob's account is switched off here."""
    with run_stack(web=1, workers=0) as running:
        yield running


@pytest.fixture(scope="module")
def made(stack: Stack) -> list[str]:
    """The keys of a conversation, an answer, its run and Alice. There is an administrator besides."""
    return stack.manage("shell", "--no-imports", "-c", SETUP).split()


class Complaints:
    """What the browser's console and the pages' scripts complain of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.found: list[str] = []
        page.on("console", lambda line: self.add(f"{line.text} {line.location}", line.type in ("error", "warning")))
        page.on("pageerror", lambda error: self.add(str(error)))
        page.on("response", lambda answer: self.add(f"{answer.status} {answer.url}", answer.status >= 400))

    def add(self, complaint: str, counts: bool = True) -> None:
        if counts:
            self.found.append(f"{self.page.url}: {complaint}")


def shoot(page: Page, name: str) -> None:
    """Keeps a picture for a person to look at, where PICTURES says."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def log_in(page: Page, stack: Stack, email: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.timeout(180)
def test_staff_find_their_way(stack: Stack, made: list[str], browser: Browser) -> None:
    conversation, answer, run, alice = made
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    complaints = Complaints(page)

    page.goto(f"{stack.url}/admin/")
    shoot(page, "login")
    log_in(page, stack, ROOT)
    expect(page).to_have_url(f"{stack.url}/admin/")
    shoot(page, "admin-index")

    for path, fact in (
        ("chat/run/", "upstream_timeout"),
        (f"chat/run/{run}/change/", "Failed after"),
        ("chat/message/", "alice@example.org"),
        (f"chat/message/{answer}/change/", "Fish."),
        ("chat/conversation/", "alice@example.org"),
        (f"chat/conversation/{conversation}/change/", "About crocodiles"),
        ("accounts/auditentry/", "read_body"),
        ("accounts/user/", "bob@example.org"),
        (f"accounts/user/{alice}/change/", "No active sessions"),
        (f"accounts/user/{alice}/password/", "Password"),
        ("accounts/user/add/", "Email address"),
        (f"accounts/user/{alice}/erase/", "conversations without other members"),
        (f"accounts/user/{alice}/top-up/", "No quota applies"),
        ("auth/group/add/", "Permissions"),
    ):
        page.goto(f"{stack.url}/admin/{path}")
        expect(page.get_by_text(fact).locator("visible=true").first).to_be_visible()
        shoot(page, "admin-" + path.strip("/").replace("/", "-").replace(conversation, "x")[:40])

    # A filter, a search and an action: what needs the theme's scripts.
    page.goto(f"{stack.url}/admin/accounts/user/")
    page.get_by_role("row", name="bob@example.org").get_by_role("checkbox").check()
    page.get_by_label("Select action to run").select_option("switch_off")
    page.get_by_role("button", name="Run", exact=True).or_(page.get_by_role("button", name="Go", exact=True)).click()
    page.get_by_label("Reason").fill("left the company")
    shoot(page, "admin-disable")
    page.get_by_role("button", name="Disable", exact=True).click()
    expect(page.get_by_text("1 of 1 account was changed.")).to_be_visible()
    assert stack.sql("SELECT is_active FROM accounts_user WHERE email = 'bob@example.org'") == [{"is_active": False}]
    page.goto(f"{stack.url}/admin/chat/run/?status__exact=failed")
    expect(page.get_by_role("cell", name="upstream_timeout")).to_be_visible()
    assert not complaints.found, "\n".join(complaints.found)


@pytest.mark.timeout(180)
def test_people_keep_their_account(stack: Stack, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    complaints = Complaints(page)
    page.goto(f"{stack.url}/accounts/signup/")
    shoot(page, "signup")
    page.get_by_label("Email").fill("new@example.org")
    page.get_by_label("Password").fill("quite another battery")
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url(f"{stack.url}/**")

    other = browser.new_context().new_page()
    other.goto(f"{stack.url}/accounts/login/")
    other.get_by_label("Email").fill("new@example.org")
    other.get_by_label("Password").fill("quite another battery")
    other.get_by_role("button", name="Log in").click()
    expect(other).not_to_have_url(f"{stack.url}/accounts/login/")

    page.goto(f"{stack.url}/accounts/settings/sessions/")
    shoot(page, "settings")
    page.get_by_role("button", name="Log out on Chrome on Linux").click()
    expect(page.get_by_text("The session has been ended.")).to_be_visible()
    page.goto(f"{stack.url}/accounts/settings/account/")
    page.get_by_label("Name").fill("Newcomer")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your name has been saved.")).to_be_visible()
    expect(other).to_have_url(f"{stack.url}/accounts/login/?next=%2F")  # its page went there by itself
    other.goto(f"{stack.url}/accounts/settings/")
    expect(other).to_have_url(f"{stack.url}/accounts/login/?next=/accounts/settings/")

    page.get_by_role("link", name="Change password").click()
    page.get_by_label("Current Password").fill("quite another battery")
    page.get_by_label("New Password", exact=True).fill("a third battery")
    page.get_by_label("New Password (again)").fill("a third battery")
    shoot(page, "password")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Your password has been changed.")).to_be_visible()
    page.goto(f"{stack.url}/accounts/settings/sessions/")
    page.get_by_role("button", name="Log out on this device").click()
    expect(page).to_have_url(f"{stack.url}/accounts/login/")
    assert not complaints.found, "\n".join(complaints.found)


@pytest.mark.timeout(180)
def test_a_reset_link_s_secret_stays_in_the_browser(stack: Stack, made: list[str], browser: Browser) -> None:
    *_, alice = made
    staff = browser.new_context().new_page()
    staff.goto(f"{stack.url}/admin/accounts/user/{alice}/change/")
    log_in(staff, stack, ROOT)
    staff.get_by_role("button", name="Create a reset link").click()
    link = staff.locator("code").inner_text()
    page = browser.new_context().new_page()
    complaints = Complaints(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(link)
    page.get_by_label("New Password", exact=True).fill("quite another battery")
    shoot(page, "reset-from-staff")
    page.get_by_label("New Password (again)").fill("quite another battery")
    page.get_by_role("button", name="Save password").click()
    expect(page.get_by_text("changed").first).to_be_visible()
    secret = link.partition("#")[2]
    assert secret.partition("-")[2] not in "".join(url.partition("#")[0] for url in asked)
    assert secret not in stack.logs()
    assert not complaints.found, "\n".join(complaints.found)
