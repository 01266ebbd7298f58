"""Each process has only the secrets that it needs."""

from __future__ import annotations

import os

import pytest

from config.stack.environment import SECRETS, child_environment, secrets_of, server_environment


@pytest.fixture(autouse=True)
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, f"canary {name}")
    monkeypatch.setenv("SECRET_KEY", "canary of all")


def test_what_only_some_need_is_not_in_the_common_environment() -> None:
    common = child_environment()
    assert not SECRETS.keys() & common.keys()
    assert common["SECRET_KEY"] == "canary of all"
    assert common["ANTIPHON_ENV_FILE"] == os.devnull


def test_workers_have_the_keys_and_nobody_has_the_administrators_password() -> None:
    worker, web = secrets_of("worker"), secrets_of("web")
    assert worker["OPENAI_API_KEY"] == "canary OPENAI_API_KEY"
    assert "ADMIN_PASSWORD" not in worker | web
    assert "canary" not in web["OPENAI_API_KEY"], "the pages only say whether there is one"
    for name in ("DEEPGRAM_API_KEY", "SPEECHMATICS_API_KEY", "SPEECH_API_KEY"):
        assert worker[name] == f"canary {name}"
        assert name not in web


def test_the_private_servers_have_none() -> None:
    assert not [value for value in server_environment().values() if "canary" in value]
