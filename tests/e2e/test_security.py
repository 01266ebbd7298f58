"""Second factors and single sign-on in a real browser, under the site's own policy: app, passkeys, a provider."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browsing import Watch, shoot_views
from tests.fixtures.one_time_codes import code_of
from tests.stack import PASSWORD, Stack

pytestmark = pytest.mark.e2e


@pytest.fixture
def site(stack: Stack) -> str:
    """The site by a name: an IP address can have no passkeys."""
    return stack.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def person(stack: Stack) -> str:
    """Somebody new, who has no factor yet: their address."""
    email = f"key-{uuid.uuid4().hex[:12]}@example.org"
    code = f"from accounts.models import User\nUser.objects.create_user({email!r}, {PASSWORD!r})"
    stack.manage("shell", "--no-imports", "--command", code)
    return email


@pytest.fixture
def fresh(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


def give_password(page: Page, site: str, email: str) -> None:
    page.goto(f"{site}/accounts/login/?next=/accounts/settings/security/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


def log_out(page: Page) -> None:
    page.goto(f"{page.url.split('/accounts')[0]}/accounts/logout/")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/accounts/login/")


def add_authenticator(page: Page) -> None:
    """A device of Chromium's own, which recognises its user."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def prove(page: Page) -> None:
    """The password again, where the page asks for it."""
    page.wait_for_url(re.compile("/reauthenticate/"))
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


def test_an_app_is_set_up_used_and_turned_off(fresh: BrowserContext, site: str, person: str) -> None:
    page = fresh.new_page()
    watch = Watch(page, site)
    give_password(page, site, person)
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Security")
    shoot_views(page, "security-empty", full_page=True)
    page.get_by_role("link", name="Set up").click()
    expect(page.get_by_alt_text("QR code for the authenticator app")).to_be_visible()
    shoot_views(page, "security-app", full_page=True)
    page.get_by_text("Can’t scan it?").click()
    secret = page.locator(".secret-key").inner_text()
    page.get_by_label("Code of the app").fill("000")
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("That code isn’t right.")).to_be_visible()
    page.get_by_label("Code of the app").fill(code_of(secret))
    page.get_by_role("button", name="Turn on").click()
    prove(page)
    expect(heading).to_have_text("Recovery codes")
    codes = page.locator(".recovery-codes code")
    expect(codes).to_have_count(10)
    recovery = codes.first.inner_text()
    shoot_views(page, "security-codes", full_page=True)
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("10 codes are left.")).to_be_visible()
    shoot_views(page, "security-on", full_page=True)
    log_out(page)
    give_password(page, site, person)
    expect(heading).to_have_text("Confirm it’s you")
    shoot_views(page, "security-ask", full_page=True)
    page.get_by_label("Code", exact=True).fill("123")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("That code isn’t right.")).to_be_visible()
    page.get_by_label("Code", exact=True).fill(recovery)
    page.get_by_role("button", name="Log in").click()
    expect(heading).to_have_text("Remember this browser?")
    shoot_views(page, "security-remember", full_page=True)
    page.get_by_role("button", name="Remember this browser").click()
    expect(page.get_by_text("9 codes are left.")).to_be_visible()
    page.get_by_role("link", name="Turn off").click()
    prove(page)
    page.get_by_role("button", name="Turn off").click()
    expect(page.get_by_role("link", name="Set up")).to_be_visible()
    assert watch.complaints == []
    assert watch.foreign == []


def test_a_passkey_is_a_second_factor_and_the_only_log_in(fresh: BrowserContext, site: str, person: str) -> None:
    page = fresh.new_page()
    watch = Watch(page, site)
    add_authenticator(page)
    give_password(page, site, person)
    page.get_by_role("link", name="Add passkey").click()
    page.get_by_label("Name").fill("My laptop")
    shoot_views(page, "passkey-add", full_page=True)
    page.get_by_role("button", name="Add passkey").click()
    prove(page)
    expect(page.locator(".recovery-codes code")).to_have_count(10)
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("My laptop")).to_be_visible()
    expect(page.get_by_text("Logs you in alone.")).to_be_visible()
    log_out(page)

    give_password(page, site, person)  # as the second factor
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("button", name="Don’t remember").click()
    expect(page.get_by_text("My laptop")).to_be_visible()
    page.get_by_role("button", name="Remove password").click()
    prove(page)
    expect(page.get_by_text("From now on you log in with a passkey.")).to_be_visible()
    log_out(page)

    shoot_views(page, "passkey-log-in", full_page=True)
    page.get_by_role("button", name="Log in with a passkey").click()  # and alone
    page.wait_for_url(f"{site}/")
    page.goto(f"{site}/accounts/settings/security/")
    expect(page.get_by_role("link", name="Set a password")).to_be_visible()
    page.get_by_role("link", name="Remove My laptop").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("This passkey is your only log-in.")).to_be_visible()
    assert watch.complaints == []


def test_who_declines_a_passkey_is_told_so(fresh: BrowserContext, site: str) -> None:
    page = fresh.new_page()
    page.add_init_script("navigator.credentials.get = () => Promise.reject(new DOMException('no', 'NotAllowedError'))")
    page.goto(f"{site}/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_text("The passkey wasn’t used")).to_be_visible()
    expect(page.get_by_role("button", name="Log in with a passkey")).to_be_enabled()


def test_where_there_can_be_no_passkey_none_is_offered(fresh: BrowserContext, stack: Stack) -> None:
    page = fresh.new_page()
    page.goto(f"{stack.url}/accounts/login/")
    expect(page.get_by_role("button", name="Log in", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Log in with a passkey")).to_be_hidden()
