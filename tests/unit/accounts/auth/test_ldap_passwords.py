"""When no password is sent to a directory. Nothing here needs one."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("ldap3", reason="ldap3 is not installed (pip install -r requirements/ldap.txt)")

from accounts.sso import ldap_directory
from accounts.sso.ldap_directory import DirectoryError, find_and_check


class Directory:
    """As ldap3's connection: one that is opened, and refuses StartTLS."""

    opened = 0
    socket = None
    bound = True

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def open(self) -> None:
        Directory.opened += 1

    def start_tls(self) -> bool:
        return False

    def bind(self) -> None:
        pytest.fail("a password was sent")

    def unbind(self) -> None:
        pass


@pytest.fixture(autouse=True)
def directory(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LDAP_URL, settings.LDAP_START_TLS = "ldap://ldap.example.org", True
    settings.LDAP_BIND_DN, settings.LDAP_BIND_PASSWORD = "cn=reader", "reads"
    monkeypatch.setattr(ldap_directory, "Connection", Directory)
    monkeypatch.setattr(Directory, "opened", 0)


def test_none_to_a_directory_that_refuses_starttls() -> None:
    with pytest.raises(DirectoryError, match="StartTLS"):
        find_and_check("ada@example.org", "secret")
    assert Directory.opened == 1


def test_never_an_empty_one() -> None:
    """A directory takes it as a log-in as nobody, and accepts it (RFC 4513 §5.1.2)."""
    assert find_and_check("ada@example.org", "") is None
    assert Directory.opened == 0
