"""Secrets that come from files."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.credentials import read_credentials


def test_a_setting_is_read_from_the_file_that_its_variable_names(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a-secret\n")
    environ = {"SECRET_KEY_FILE": str(tmp_path / "key")}
    read_credentials(environ)
    assert environ == {"SECRET_KEY": "a-secret"}


def test_a_credential_of_systemd_is_read_unless_the_environment_has_the_setting(tmp_path: Path) -> None:
    for name in ("SECRET_KEY", "antiphon_DATABASE_URL", "REDIS_URL", "PATH"):
        (tmp_path / name).write_text(f"of-{name}")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "REDIS_URL": "redis://mine", "PATH": "/bin"}
    read_credentials(environ)
    assert environ["DATABASE_URL"] == "of-antiphon_DATABASE_URL", "of a folder that LoadCredential names antiphon"
    assert (environ["SECRET_KEY"], environ["REDIS_URL"], environ["PATH"]) == ("of-SECRET_KEY", "redis://mine", "/bin")


@pytest.mark.parametrize("text", [None, b"", b" \n", b"\xff\xfe", b"a\0b"])
def test_a_file_that_holds_no_secret_is_refused_by_name(tmp_path: Path, text: bytes | None) -> None:
    if text is not None:
        (tmp_path / "key").write_bytes(text)
    with pytest.raises(ImproperlyConfigured, match=r"DATABASE_URL_FILE: .*key"):
        read_credentials({"DATABASE_URL_FILE": str(tmp_path / "key")})


def test_a_value_and_a_file_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("one")
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is set, too"):
        read_credentials({"SECRET_KEY": "other", "SECRET_KEY_FILE": str(tmp_path / "key")})
