"""What a person does most, in Firefox: sends, reads, stops, copies, searches, opens sheets and settings;
and what Firefox does in its own way: clipboard, folders, input methods, databases, frames.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import StorageState

from tests.e2e.attaching import STARTED
from tests.e2e.firefox import CONTROL, ENTER, FIREFOX, Firefox, until
from tests.e2e.test_files import DROP_FOLDER
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = [
    pytest.mark.timeout(600),  # of a test that waits for the stack and for Firefox beside other work
    pytest.mark.skipif(FIREFOX is None, reason="Firefox is not installed."),
]

ANSWER = (
    "Here it is:\n\n```python\nprint('crocodile')\n```\n\n- [x] found\n\n$$\n\\frac{1}{2}\n$$\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\nThat was **all**."
)
LAST = ".message-assistant.is-last"


@pytest.fixture(scope="module")
def firefox(stack: Stack, login: StorageState, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """One in which Alice is logged in."""
    made = Firefox(tmp_path_factory.mktemp("firefox"))
    try:
        made.open(f"{stack.url}/offline/")
        for one in login["cookies"]:
            cookie = {"name": one["name"], "value": one["value"], "path": one["path"], "httpOnly": one["httpOnly"]}
            made.command("WebDriver:AddCookie", {"cookie": cookie})
        yield made
    finally:
        made.close()


@pytest.fixture
def new(firefox: Firefox, stack: Stack) -> Firefox:
    """The page of a new conversation."""
    firefox.open(f"{stack.url}/")
    firefox.shows("#model", "small")
    return firefox


def status(firefox: Firefox) -> str:
    return str(firefox.run("return document.querySelector(arguments[0])?.dataset.status ?? ''", LAST))


def test_an_answer_is_shown_and_copied(new: Firefox, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text=ANSWER))
    new.type("#text", "Where is the crocodile?" + ENTER)
    new.shows(f"{LAST}[data-status=complete]", "That was all.")
    new.shows(f"{LAST} .code-block pre", "print('crocodile')")
    assert new.run(
        "return document.querySelectorAll(arguments[0] + ' .tok-k, ' + arguments[0] + ' pre span').length", LAST
    )
    until(lambda: new.run("return !!document.querySelector(arguments[0] + ' math mfrac')", LAST), "the formula is set")
    assert new.run("return document.querySelector(arguments[0] + ' table td')?.textContent", LAST) == "1"
    new.click(f"{LAST} [data-action=copy]")
    until(lambda: new.run("return navigator.clipboard.readText()").strip() == ANSWER, "the clipboard has the answer")


def test_what_has_come_is_shown_and_outlives_stopping_and_a_reload(new: Firefox) -> None:
    new.type("#text", "Tell me a story [[tokens=20 hang=5]]" + ENTER)
    new.shows(f"{LAST}[data-status=streaming]", "tok4")
    new.click("#stop")
    until(lambda: status(new) == "stopped", "the answer is stopped")
    new.command("WebDriver:Refresh", {})
    new.shows(f"{LAST}[data-status=stopped]", "tok0 tok1 tok2 tok3 tok4")


def test_search_and_find(new: Firefox) -> None:
    new.type("#text", "A pelican on a pier [[tokens=3]]" + ENTER)
    until(lambda: status(new) == "complete", "the answer")
    new.type("#text", CONTROL + "k")
    until(lambda: new.run("return document.getElementById('search').open"), "the search opens")
    new.type("#search-field", "pelican")
    new.shows("#search-list", "pelican")


def test_sheets_are_loaded_and_save(new: Firefox) -> None:
    new.click("#parameters-button")
    until(lambda: new.run("return !!document.querySelector('#parameters[open]')"), "the sheet opens")
    until(lambda: not new.run("return document.getElementById('parameter-prompt').readOnly"), "it is filled")
    new.type("#parameter-prompt", "Answer in French.")
    new.click("#parameters [data-close]")
    new.type("#text", "Hello [[tokens=3]]" + ENTER)
    until(lambda: status(new) == "complete", "the answer")
    until(lambda: new.run("return 'changed' in document.getElementById('parameters-button').dataset"), "it is marked")


def test_the_settings_open_over_the_page(new: Firefox) -> None:
    new.click(".account")
    new.click("#account-menu a[href*='/accounts/settings/']")
    new.shows(".settings-sheet h1", "General")
    assert new.run("return !!document.getElementById('text')"), "the page is still below"


PASTE_IMAGE = """
const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 30 });
canvas.getContext("2d").fillRect(0, 0, 40, 30);
return new Promise((done) => canvas.toBlob((image) => {
    const clipboardData = new DataTransfer();
    clipboardData.items.add(new File([image], "image.png", { type: "image/png" }));
    const paste = new Event("paste", { bubbles: true, cancelable: true });
    Object.defineProperty(paste, "clipboardData", { value: clipboardData });
    document.getElementById("text").dispatchEvent(paste);
    done(paste.defaultPrevented);
}));"""
CHIPS = """return [...document.querySelectorAll("#composer .chip[data-state=done] .chip-name")]
    .map((one) => one.innerText)"""


def test_a_pasted_image_and_a_dropped_folder(new: Firefox) -> None:
    new.find(STARTED)
    assert new.run(PASTE_IMAGE), "the page takes the image"
    until(lambda: new.run(CHIPS) == ["image 1.png"], "the image is uploaded")
    new.run(f"({DROP_FOLDER})(document.getElementById('text'))")
    until(lambda: sorted(new.run(CHIPS)) == ["a.txt", "b.txt", "image 1.png"], "the folder's files are uploaded")
    new.type("#text", "What is in them? [[tokens=3]]" + ENTER)
    until(lambda: status(new) == "complete", "the answer")
    assert new.run("return document.querySelectorAll('.message-user .file').length") == 3


def test_enter_of_an_input_method_sends_nothing(new: Firefox) -> None:
    new.type("#text", "Half a wo")
    for how in ("{ keyCode: 229 }", "{ isComposing: true }"):
        new.run(
            "document.getElementById('text').dispatchEvent("
            f"new KeyboardEvent('keydown', {{ key: 'Enter', bubbles: true, cancelable: true, ...{how} }}))"
        )
    assert new.run("return document.getElementById('text').value") == "Half a wo"
    new.type("#text", "rd [[tokens=3]]" + ENTER)
    until(lambda: status(new) == "complete", "the answer")
    assert new.run("return document.querySelectorAll('.message-user').length") == 1


def test_a_message_waits_for_the_server_and_outlives_its_tab(new: Firefox, stack: Stack) -> None:
    stack.webs[0].stop()
    until(lambda: not new.run("return document.getElementById('connection').hidden"), "the page says so")
    new.type("#text", "Kept in Firefox [[tokens=3]]" + ENTER)
    new.find(".message-user[data-status=waiting]")
    new.command("WebDriver:Navigate", {"url": "about:blank"})
    stack.webs[0].restart()
    new.open(f"{stack.url}/")
    until(lambda: status(new) == "complete", "the answer")
    assert "Kept in Firefox" in new.text(".message-user")


def test_a_diagram_is_drawn(new: Firefox, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text="A graph:\n\n```mermaid\ngraph TD\n  A[Start] --> B[End]\n```\n\nThat is all.\n"))
    new.type("#text", "Draw it" + ENTER)
    until(
        lambda: new.run("return document.querySelector(arguments[0] + ' .diagram img')?.naturalWidth", LAST),
        "the diagram is drawn",
    )
