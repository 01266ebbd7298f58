"""Recordings that end: by their longest time, which is said, and with their tab, whose microphone is free at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.calling import loud as loud  # a fixture
from tests.e2e.calling import open_page
from tests.fakes.asr_recognisers import recogniser_of_any_audio
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack, run_stack

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def strict(upstream: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """With one recording for each user, as by default, of five seconds."""
    env = {
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_API_KEY": "sk-test",
        "CHAT_MODELS": "small",
        "RECORDING_SECONDS": "5",
    }
    with (
        recogniser_of_any_audio(tmp_path_factory.mktemp("grammar")) as asr,
        run_stack(web=1, workers=1, env=env | asr.env) as running,
    ):
        yield running


def record(page: Page) -> None:
    page.get_by_role("button", name="Record voice").click()
    expect(page.locator("#voice-state")).to_have_text(re.compile("Listening…|Speech detected…"))


def test_a_recording_that_reaches_its_longest_time_says_so(loud: Browser, strict: Stack) -> None:
    page = open_page(loud, strict)
    record(page)
    expect(page.locator(".toast")).to_contain_text("reached its maximum length")
    expect(page.locator("#voice")).to_be_hidden()
    page.wait_for_function("() => tracks.every((track) => track.readyState === 'ended')")
    record(page)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#voice")).to_be_hidden()


def test_another_tab_can_record_as_soon_as_one_is_closed(loud: Browser, strict: Stack) -> None:
    first = open_page(loud, strict)
    second = first.context.new_page()
    second.goto(strict.url)
    record(first)
    second.get_by_role("button", name="Record voice").click()
    expect(second.locator(".toast")).to_contain_text("already recording on another device or tab")
    expect(second.locator("#voice")).to_be_hidden()
    first.close()
    expect(second.locator("#mic")).to_be_visible()
    record(second)
    second.get_by_role("button", name="Stop recording").click()
    expect(second.locator("#voice")).to_be_hidden()


def test_leaving_the_page_frees_the_microphone_before_anything_that_waits(loud: Browser, strict: Stack) -> None:
    page = open_page(loud, strict)
    record(page)
    left = "() => { dispatchEvent(new Event('pagehide')); return tracks.map((track) => track.readyState); }"
    assert page.evaluate(left) == ["ended"]
    expect(page.locator("#voice")).to_be_hidden()
