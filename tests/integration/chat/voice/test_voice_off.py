"""A server without a recogniser: what the page, the admin and the doctor show, and which recogniser is the default."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from config.ops.diagnosis import Level, examine
from tests.fakes.asr_recognisers import MOONSHINE_INSTALLED
from tests.fixtures.people import logged_in
from workers.asr import registry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]

RECORDINGS = "/admin/chat/recording/"
SECTION = "/accounts/settings/voice/"
OFF = "Voice input is off"


def page_of(user: User, path: str = "/") -> str:
    response = logged_in(user).get(path)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("on", [True, False])
def test_the_page_offers_a_microphone_only_where_there_is_a_recogniser(alice: User, settings: Any, on: bool) -> None:
    settings.ASR_BACKENDS = ["deepgram"] if on else []
    page = page_of(alice)
    assert ('id="mic"' in page) is on
    assert RECORDINGS not in page
    page = page_of(alice, SECTION)
    assert ('id="voice-send"' in page) is on
    assert ("Voice input is off on this server. An administrator can turn it on." in page) is not on
    assert RECORDINGS not in page


def test_staff_find_how_to_have_answers_read(alice: User, settings: Any) -> None:
    """The button of a call leads to the handbook where the browser has no voice."""
    settings.ASR_BACKENDS = ["deepgram"]
    assert "data-help" not in page_of(alice)
    alice.is_staff = True
    alice.save()
    assert 'data-help="/admin/help/#:~:text=has%20no%20voice"' in page_of(alice)


def test_staff_find_how_to_turn_it_on(settings: Any) -> None:
    settings.ASR_BACKENDS = []
    root = User.objects.create_superuser("root@example.org", "x")
    assert f'<a href="{RECORDINGS}">See how to turn it on</a>' in page_of(root, SECTION)
    page = page_of(root, RECORDINGS)
    assert OFF in page
    assert "make moonshine" in page
    assert "pip install -r requirements/moonshine.txt" in page
    assert [name for name in registry.BACKENDS if name not in page] == []
    settings.ASR_BACKENDS = ["deepgram"]
    assert OFF not in page_of(root, RECORDINGS)


def test_the_doctor_reports_it(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ASR_BACKENDS = []
    [found] = examine(["voice"])
    assert (found.level, found.said) == (Level.OK, "Voice input is off: no recogniser is configured.")
    assert "make moonshine" in found.advice
    settings.ASR_BACKENDS, settings.DEEPGRAM_API_KEY = ["deepgram"], "key"
    [found] = examine(["voice"])
    assert (found.level, found.said) == (Level.OK, "Voice input is on: deepgram.")
    settings.ASR_BACKENDS = ["pocketsphinx"]
    monkeypatch.setattr(registry, "find_spec", lambda _name: None)
    [found] = examine(["voice"])
    assert found.level is Level.FAIL
    assert found.said.startswith("ASR_BACKENDS: the optional package pocketsphinx is not installed")


@pytest.mark.parametrize("installed", [True, False])
def test_the_default_is_what_is_installed(installed: bool, tmp_path: Path) -> None:
    """In a process of its own, in which the package is hidden from the import system or is a module of that name."""
    if installed and not MOONSHINE_INSTALLED:
        (tmp_path / "moonshine_voice.py").touch()
    hide = (
        ""
        if installed
        else "import importlib.util as u; real = u.find_spec; "
        "u.find_spec = lambda n: n != 'moonshine_voice' and real(n); "
    )
    script = f"{hide}from config import settings; print(settings.ASR_BACKENDS)"
    env = {name: value for name, value in os.environ.items() if name != "ASR_BACKENDS"} | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env, timeout=30
    )
    assert done.stdout.strip() == str(["moonshine"] if installed else [])
