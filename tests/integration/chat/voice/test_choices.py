"""What is chosen for voice on all devices: the settings keep it with the account, and each page begins with it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.conftest import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def voice(settings: Any) -> None:
    settings.ASR_BACKENDS, settings.SPEECH_BACKENDS, settings.SPEECH_VOICES = ["openai_http"], ["openai"], ["nova"]


@pytest.fixture
def alice(client: Client) -> User:
    user = make_user("Alice")
    client.force_login(user)
    return user


def choose(client: Client, **chosen: str) -> int:
    return client.post(reverse("chat:choose_voice"), chosen).status_code


def page_voice(client: Client) -> Any:
    """What the script of a conversation's page gets."""
    found = re.search(r'<script id="page"[^>]*>(.*?)</script>', client.get("/").content.decode(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])["voice"]


def test_what_is_chosen_is_on_the_next_page_and_in_the_settings(client: Client, alice: User) -> None:
    assert page_voice(client) == {}
    assert choose(client, language="de") == 200
    assert choose(client, server="nova", speed="1.25") == 200
    assert choose(client, send="on") == 200
    assert choose(client, speed="") == 200, "the usual one again"
    assert page_voice(client) == {"language": "de", "server": "nova", "speed": "", "send": "on"}
    section = client.get(reverse("chat:settings_voice")).content.decode()
    assert 'name="voice.language" data-kept="de"' in section
    assert 'name="voice.send" data-kept="on"' in section


@pytest.mark.parametrize(
    "chosen",
    [{"language": "tlh"}, {"server": "unknown"}, {"speed": "9"}, {"send": "perhaps"}, {"colour": "red"}, {},
     {"language": "de", "speed": "9"}],
)  # fmt: skip
def test_what_cannot_be_chosen_changes_nothing(client: Client, alice: User, chosen: dict[str, str]) -> None:
    assert choose(client, **chosen) == 400
    alice.refresh_from_db()
    assert alice.voice == {}


def test_what_is_no_longer_offered_is_left_out(client: Client, alice: User, settings: Any) -> None:
    choose(client, language="de", server="nova")
    settings.ASR_BACKENDS, settings.SPEECH_VOICES = ["moonshine"], ["coral"]
    assert page_voice(client) == {}


def test_languages_are_told_before_a_button_is_pressed(client: Client, alice: User, settings: Any) -> None:
    assert 'title="Record voice (hold Alt + V)" data-languages=""' in client.get("/").content.decode()
    settings.ASR_BACKENDS = ["moonshine"]
    page, section = (client.get(url).content.decode() for url in ("/", reverse("chat:settings_voice")))
    assert 'title="Record voice in English (hold Alt + V)" data-languages="en"' in page
    assert 'title="Start a call: speak with the model, hands free, in English"' in page
    assert "Speech recognition on this server understands English." in section
    assert "voice.language" not in section


def test_only_oneself_and_by_post(client: Client) -> None:
    assert client.get(reverse("chat:choose_voice")).status_code == 405
    assert choose(client, speed="1.5") == 302, "to the log-in page"
