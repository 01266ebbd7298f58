"""Staff and people in a real browser: a top-up, an account switched off, an invitation, an erasure called off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Watch, log_in, shoot_views
from tests.stack import PASSWORD, Stack

pytestmark = pytest.mark.timeout(180)  # the first waits for the stack
PERSON = """
INSERT INTO accounts_user (id, password, is_superuser, email, name, is_active, is_staff, date_joined)
SELECT gen_random_uuid(), password, %s, lower(%s) || '@example.org', %s, true, %s, now()
FROM accounts_user WHERE email = 'alice@example.org' RETURNING id
"""
QUOTA = """
INSERT INTO accounts_quota (user_id, model, unit, period, "limit", hard, starts_at)
VALUES (%s, '', 'messages', 'day', 10, true, now()), (%s, '', 'output_tokens', 'month', 50000, false, now())
"""
USE = """
INSERT INTO accounts_dailyusage (day, user_id, model, endpoint, messages, input_tokens, cached_tokens, output_tokens,
    reasoning_tokens, audio_seconds, cost, unpriced, estimated)
SELECT current_date - n, %s, (ARRAY['small', 'large'])[1 + n %% 2], '', 3 + n %% 5, 900 + 137 * (n %% 7), 0,
    400 + 211 * (n %% 5), 0, 0, 0.0021 * (1 + n %% 4), 0, 0
FROM generate_series(0, 27) n WHERE n %% 6 <> 4
"""


def make(stack: Stack, name: str, *, superuser: bool = False) -> str:
    return str(stack.sql(PERSON, superuser, name, name, superuser)[0]["id"])


@pytest.fixture(scope="module")
def staff(browser: Browser, stack: Stack) -> Any:
    """A superuser's cookies."""
    make(stack, "Rita", superuser=True)
    context = browser.new_context()
    log_in(context, stack, "rita")
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def rita(browser: Browser, staff: Any) -> Iterator[Page]:
    context = browser.new_context(storage_state=staff, viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


def test_a_top_up(rita: Page, stack: Stack) -> None:
    pat = make(stack, "Paula")
    stack.sql(QUOTA, pat, pat)
    stack.sql(USE, pat)
    watch = Watch(rita, stack.url)
    rita.goto(f"{stack.url}/admin/accounts/user/")
    expect(rita.get_by_role("link", name="Invite a user")).to_be_visible()
    shoot_views(rita, "people", full_page=True)
    rita.get_by_role("link", name="paula@example.org").click()
    expect(rita.get_by_text("10 of 10 messages left today")).to_be_visible()
    expect(rita.get_by_text("Last 30 days")).to_be_visible()
    rita.get_by_role("link", name="Top up", exact=True).click()
    rita.get_by_label("Quota").select_option(label="messages · today")
    rita.get_by_label("Amount").fill("5")
    rita.get_by_label("Reason").fill("a thesis")
    shoot_views(rita, "top-up", full_page=True)
    rita.get_by_role("button", name="Top up").click()
    expect(rita.get_by_text("Added 5 for paula@example.org.")).to_be_visible()
    expect(rita.get_by_text("15 of 15 messages left today")).to_be_visible()
    shoot_views(rita, "person", full_page=True)
    with rita.expect_download() as download:
        rita.get_by_role("button", name="Export data").click()
    assert '"paula@example.org"' in Path(download.value.path()).read_text()
    assert watch.complaints == []


def test_switching_somebody_off_while_they_are_here(rita: Page, stack: Stack, browser: Browser) -> None:
    id_ = make(stack, "Quentin")
    theirs = log_in(browser.new_context(), stack, "quentin")
    expect(theirs.locator("#text")).to_be_enabled()
    rita.goto(f"{stack.url}/admin/accounts/user/{id_}/change/")
    expect(rita.get_by_text("Chrome on Linux")).to_be_visible()
    rita.get_by_role("link", name="Disable…").click()
    rita.get_by_label("Reason").fill("left the company")
    shoot_views(rita, "disable", full_page=True)
    rita.get_by_role("button", name="Disable", exact=True).click()
    expect(rita.get_by_text("has been disabled and logged out")).to_be_visible()
    expect(theirs).to_have_url(f"{stack.url}/accounts/login/?next=%2F", timeout=5000)
    theirs.get_by_label("Email").fill("quentin@example.org")
    theirs.get_by_label("Password").fill(PASSWORD)
    theirs.get_by_role("button", name="Log in").click()
    expect(theirs).not_to_have_url(f"{stack.url}/")
    theirs.context.close()


def test_an_invitation(rita: Page, stack: Stack, browser: Browser) -> None:
    rita.goto(f"{stack.url}/admin/accounts/user/")
    rita.get_by_role("link", name="Invite a user").click()
    rita.get_by_label("Email address").fill("newcomer@example.org")
    rita.get_by_label("Role").select_option(label="support")
    shoot_views(rita, "invite", full_page=True)
    rita.get_by_role("button", name="Invite").click()
    told = rita.get_by_text("No mail server is configured").first
    expect(told).to_be_visible()
    shoot_views(rita, "invitations", full_page=True)
    theirs = browser.new_context().new_page()
    watch = Watch(theirs, stack.url)
    theirs.goto(told.inner_text().rpartition(" ")[2])
    expect(theirs.get_by_role("heading", name="You’ve been invited")).to_be_visible()
    expect(theirs.get_by_label("Email")).to_have_value("newcomer@example.org")
    shoot_views(theirs, "invited", full_page=True)
    theirs.get_by_label("Name").fill("Newcomer")
    theirs.get_by_label("Password").fill(PASSWORD)
    theirs.get_by_role("button", name="Create account").click()
    expect(theirs.locator("#text")).to_be_enabled()
    theirs.goto(f"{stack.url}/admin/accounts/user/?q=newcomer")
    expect(theirs.get_by_role("link", name="newcomer@example.org")).to_be_visible()
    assert watch.complaints == []
    theirs.context.close()


def test_an_erasure_called_off(rita: Page, stack: Stack) -> None:
    id_ = make(stack, "Sophie")
    rita.goto(f"{stack.url}/admin/accounts/user/{id_}/change/")
    rita.get_by_role("link", name="Erase…").click()
    expect(rita.get_by_text("conversations without other members, deleted")).to_be_visible()
    rita.get_by_label("Type the user's email address to confirm").fill("sophia@example.org")
    rita.get_by_role("button", name="Erase in 7 days").click()
    expect(rita.get_by_text("This is not the user's email address.")).to_be_visible()
    shoot_views(rita, "erase", full_page=True)
    rita.get_by_label("Type the user's email address to confirm").fill("sophie@example.org")
    rita.get_by_label("Reason").fill("asked by letter")
    rita.get_by_role("button", name="Erase in 7 days").click()
    expect(rita.get_by_text("All data of sophie@example.org will be erased after")).to_be_visible()
    shoot_views(rita, "to-be-erased", full_page=True)
    state = "SELECT is_active, erase_at > now() + interval '6 days' AS later FROM accounts_user WHERE id = %s"
    [row] = stack.sql(state, id_)
    assert row == {"is_active": False, "later": True}
    rita.get_by_role("button", name="Cancel erasure").click()
    expect(rita.get_by_text("Erasure cancelled. The account has been restored to its previous state.")).to_be_visible()
    [row] = stack.sql(state, id_)
    assert row == {"is_active": True, "later": None}


def test_a_file_with_a_preview(rita: Page, stack: Stack, tmp_path: Path) -> None:
    watch = Watch(rita, stack.url)
    file = tmp_path / "people.csv"
    file.write_text("email,name\ntess@example.org,Tess\nalice@example.org,Alice\n")
    rita.goto(f"{stack.url}/admin/accounts/user/import/")
    rita.locator("input[type=file]").set_input_files(file)
    rita.get_by_role("button", name="Submit").click()
    expect(rita.get_by_text("tess@example.org")).to_be_visible()
    shoot_views(rita, "import-preview", full_page=True)
    rita.get_by_role("button", name="Confirm import").click()
    expect(rita.get_by_text("1 new, 0 updated")).to_be_visible()
    with rita.expect_download() as download:
        rita.goto(f"{stack.url}/admin/accounts/user/export/?q=tess")
        shoot_views(rita, "export", full_page=True)
        rita.get_by_role("button", name="Submit").click()
    assert "tess@example.org,Tess" in Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert watch.complaints == []
