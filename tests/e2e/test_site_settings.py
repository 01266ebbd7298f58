"""A site with a name, an accent, an announcement, terms and legal links of its own; and deleting one's account."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, log_in, shoot_views
from tests.stack import PASSWORD, Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

SET = """
from accounts.models import SiteSettings, User
User.objects.create_user("dora@example.org", "{password}", name="Dora")
SiteSettings(name="Chorus", accent="#7a1f5c", welcome="Ask", banner="Maintenance: https://status.example.org/",
    starters=["Sing to me"], terms="Be kind.\\n\\nNobody is paid.", legal_links=[["Privacy", "/privacy"]]).save()
"""
UNSET = """
from accounts.models import SiteSettings, TermsAcceptance, User
SiteSettings.objects.all().delete()
TermsAcceptance.objects.all().delete()
User.objects.filter(email="dora@example.org").delete()
"""


@pytest.fixture(autouse=True)
def branded(stack: Stack) -> Iterator[None]:
    stack.manage("shell", "--no-imports", "-c", SET.format(password=PASSWORD))
    wait_for_name(stack, "Chorus")
    yield
    stack.manage("shell", "--no-imports", "-c", UNSET)
    wait_for_name(stack, "Antiphon")


def wait_for_name(stack: Stack, name: str) -> None:
    """Until every web process has read the settings again, which it does within a second."""
    for web in stack.webs:
        for _ in range(200):
            with urlopen(f"{web.url}/accounts/login/") as page:  # noqa: S310  # the stack's own
                if f"Log in · {name}" in page.read().decode():
                    break
            time.sleep(0.1)
        else:
            raise AssertionError(f"{web.url} is not called {name}")


def test_terms_then_the_site_s_own_page_then_leaving(browser: Browser, stack: Stack) -> None:
    context = browser.new_context()
    bare = context.new_page()
    watch = Watch(bare, stack.url)
    bare.goto(f"{stack.url}/accounts/login/")
    expect(bare.get_by_role("link", name="Privacy")).to_be_visible()
    expect(bare.get_by_text("Maintenance:")).to_be_visible()
    assert violations(bare) == []
    shoot_views(bare, "site-login")
    page = log_in(context, stack, "dora")
    expect(page.get_by_role("heading", name="Terms")).to_be_visible()
    assert violations(page) == []
    shoot_views(page, "site-terms")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("heading", name="Ask", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Sing to me")).to_be_visible()
    expect(page).to_have_title("Chorus")
    expect(page.locator(".site-banner a")).to_have_attribute("href", "https://status.example.org/")
    shoot_views(page, "site-new")
    assert page.evaluate("() => document.querySelector('.site-banner').offsetHeight") <= 60
    assert page.evaluate("() => document.documentElement.scrollHeight - innerHeight") <= 0
    assert violations(page) == []
    page.get_by_role("button", name="Hide this announcement").click()
    page.reload()
    expect(page.locator("#text")).to_be_visible()
    expect(page.locator(".site-banner")).to_be_hidden()

    page.goto(f"{stack.url}/accounts/settings/account/")
    page.get_by_role("link", name="Delete my account").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Delete my account")).to_be_visible()
    assert violations(page) == []
    shoot_views(page, "delete-account")
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("heading", name="Your account is being deleted")).to_be_visible()
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("Email").fill("dora@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Keep your account?")).to_be_visible()
    assert violations(page) == []
    shoot_views(page, "keep-account")
    page.get_by_role("button", name="Keep my account").click()
    expect(page.get_by_text("Your account stays as it was.")).to_be_visible()
    assert (watch.complaints, watch.foreign) == ([], [])
    context.close()


def test_open_pages_show_another_announcement(browser: Browser, stack: Stack) -> None:
    page = log_in(browser.new_context(), stack, "dora")
    page.get_by_role("button", name="Accept").click()
    banner = page.get_by_role("region", name="Announcement")
    expect(banner).to_contain_text("Maintenance:")
    change = "from accounts.models import SiteSettings\nrow = SiteSettings.objects.get()\n{}row.save()"
    warning = 'row.banner, row.banner_kind = "Back at <b>noon</b>", "warning"\n'
    stack.manage("shell", "--no-imports", "-c", change.format(warning))
    expect(banner).to_contain_text("Back at <b>noon</b>")
    expect(page.locator(".site-banner.is-warning")).to_have_count(1)
    assert violations(page) == []
    shoot_views(page, "site-another-announcement")
    page.get_by_role("button", name="Hide this announcement").click()
    expect(banner).to_have_count(0)
    page.reload()
    expect(page.locator("#text")).to_be_visible()
    expect(banner).to_have_count(0)
    stack.manage("shell", "--no-imports", "-c", change.format('row.banner = "All is well"\n'))
    expect(banner).to_contain_text("All is well")
    stack.manage("shell", "--no-imports", "-c", change.format('row.banner = ""\n'))
    expect(banner).to_have_count(0)
