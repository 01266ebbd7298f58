"""What pages say of the languages that are understood is what the recognisers say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.translation import override

from chat.voice.languages import COMMON, language_name, offered, recognised
from workers.asr.registry import BACKENDS

KEYS = {
    "DEEPGRAM_API_KEY": "k", "ASSEMBLYAI_API_KEY": "k", "SPEECHMATICS_API_KEY": "k", "OPENAI_API_KEY": "k",
    "WHISPER_MODEL_DIR": "/nowhere",
}  # fmt: skip
MODELS = {
    "deepgram": ("DEEPGRAM_MODEL", "flux-general-en"),
    "assemblyai": ("ASSEMBLYAI_MODEL", "universal-streaming-english"),
}


@pytest.fixture(autouse=True)
def keys(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        setattr(settings, name, value)
    monkeypatch.setattr("workers.asr.registry.find_spec", lambda _name: True)


@pytest.mark.parametrize("name", BACKENDS)
def test_each_recogniser(settings: Any, name: str) -> None:
    settings.ASR_BACKENDS = [name]
    assert recognised() == BACKENDS[name]().caps.languages


@pytest.mark.parametrize("name", MODELS)
def test_models_that_know_english_only(settings: Any, name: str) -> None:
    setting, model = MODELS[name]
    settings.ASR_BACKENDS = [name]
    setattr(settings, setting, model)
    assert recognised() == BACKENDS[name]().caps.languages == ("en",)


def test_one_that_knows_more_is_enough(settings: Any) -> None:
    settings.ASR_BACKENDS = ["moonshine", "pocketsphinx"]
    assert offered() == ("en",)
    settings.ASR_BACKENDS = ["moonshine", "openai_http"]
    assert (recognised(), offered()) == ((), COMMON)
    settings.ASR_BACKENDS = []
    assert recognised() == ()


def test_names_are_of_the_page_s_language() -> None:
    with override("de"):
        assert (language_name("en"), language_name("en-GB")) == ("Englisch",) * 2
    assert [language_name(code) for code in ("nb", "pt", "zz")] == ["Norwegian Bokmal", "Portuguese", "zz"]
    assert all(language_name(code) != code for code in COMMON)
