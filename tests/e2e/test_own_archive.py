"""An own export with files, imported by another person in the settings, with its progress by the socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests import made_files as made
from tests.e2e.attaching import choose, notes, picture, uploaded
from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, ended, send, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

RUNNING = """
INSERT INTO chat_importjob (id, user_id, name, state, created_at, beat_at, attempt, file, size, done, total, error,
    cancel, new, known, trashed, refused, messages, screened, report)
SELECT gen_random_uuid(), id, 'slow.zip', 'running', now(), now() + interval '1 hour', 1, '', 1000, 0, 0, '', false,
    0, 0, 0, 0, 0, '{}', '[]' FROM accounts_user WHERE email = 'alice@example.org' RETURNING id, user_id
"""
NOTIFY = (
    "import uuid; from asgiref.sync import async_to_sync; from chat.eventlog.user_events import notify_transfer;"
    " async_to_sync(notify_transfer)(uuid.UUID('{user_id}'), uuid.UUID('{id}'), 'import', '{state}', {done}, 7)"
)


@pytest.fixture(autouse=True)
def no_transfers(stack: Stack) -> Iterator[None]:
    yield
    stack.sql("DELETE FROM chat_importedconversation")
    stack.sql("DELETE FROM chat_importjob")
    stack.sql("DELETE FROM chat_exportjob")


def test_an_export_brings_its_files_to_another_account(page: Page, stack: Stack, bob: Page) -> None:
    page.goto(f"{stack.url}/")
    pdf = FilePayload(name="plan.pdf", mimeType="application/pdf", buffer=made.pdf(["The plan is simple."]))
    choose(page, notes("brought.txt", "Crocodiles wait here.\n"), picture("brought.png"), pdf)
    uploaded(page, 3)
    send(page, "Keep these [[tokens=1]]")
    ended(page)
    page.goto(f"{stack.url}/accounts/settings/data/")
    page.get_by_role("button", name="Export all my data (ZIP)").click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible(timeout=60_000)
    with page.expect_download() as download:
        link.click()
    archive = download.value.path()

    watch = Watch(bob, stack.url)
    bob.goto(f"{stack.url}/")
    bob.locator(".account").click()
    bob.get_by_role("link", name="Settings").click()
    dialog = bob.get_by_role("dialog", name="Settings")
    dialog.get_by_role("link", name="Data", exact=True).first.click()
    dialog.get_by_label("File (.zip or .json)").set_input_files(archive)
    dialog.get_by_role("button", name="Import", exact=True).click()
    done = dialog.locator(".settings-list li", has_text="new conversation")
    expect(done).to_be_visible(timeout=60_000)
    expect(done).to_contain_text("files")
    assert violations(bob, "#settings-sheet") == []
    shoot_views(bob, "import-with-files")
    [row] = stack.sql(
        "SELECT m.conversation_id FROM chat_message m JOIN chat_member b ON b.conversation_id = m.conversation_id"
        " JOIN accounts_user u ON u.id = b.user_id WHERE m.text LIKE 'Keep these%%' AND u.email = 'bob@example.org'"
    )
    bob.goto(f"{stack.url}/c/{row['conversation_id']}/")
    files = bob.locator(".message-user .file")
    expect(files).to_have_count(3)
    files.filter(has_text="brought.txt").locator("a").click()
    expect(bob.locator(".file-viewer-body")).to_contain_text("Crocodiles wait here.")
    bob.keyboard.press("Escape")
    bob.goto(f"{stack.url}/accounts/settings/data/")
    bob.get_by_role("button", name="Undo the import").click()
    expect(bob.get_by_text("in the trash now")).to_be_visible()
    assert watch.complaints == []


def test_progress_comes_by_the_socket(page: Page, stack: Stack) -> None:
    [row] = stack.sql(RUNNING)
    page.goto(f"{stack.url}/")
    page.locator(".account").click()
    page.get_by_role("link", name="Settings").click()
    dialog = page.get_by_role("dialog", name="Settings")
    dialog.get_by_role("link", name="Data", exact=True).first.click()
    item = dialog.locator(".settings-list li", has_text="slow.zip")
    expect(item.locator("[data-words]")).to_have_text("Reading the file…")  # it has asked, and listens
    page.route("**/imports/*/state/", lambda route: route.abort())
    stack.manage("shell", "--no-imports", "--command", NOTIFY.format(**row, state="running", done=3))
    expect(item.locator("[data-words]")).to_have_text("3 of 7 conversations")
    expect(item.locator("progress")).to_have_js_property("value", 3)
    stack.sql(
        "UPDATE chat_importjob SET state = 'done', new = 7, done = 7, total = 7, files = 2 WHERE name = 'slow.zip'"
    )
    stack.manage("shell", "--no-imports", "--command", NOTIFY.format(**row, state="done", done=7))
    expect(item).to_contain_text("7 new conversations · 2 files")
