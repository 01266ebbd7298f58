"""Which addresses of a directory are taken: none that passwords would be sent to unencrypted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.templates import ROOT

LOAD = "from config.settings import ldap; print('taken', ldap.LDAP_URL)"


def load(folder: Path, **variables: str) -> str:
    (folder / "none").write_text("")
    env = {**os.environ, "ANTIPHON_ENV_FILE": str(folder / "none"), "LDAP_BASE": "dc=example,dc=org", **variables}
    command = [sys.executable, "-W", "ignore", "-c", LOAD]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LDAP_URL": "ldap://ldap.example.org"}, "passwords would be sent unencrypted"),
        ({"LDAP_URL": "ldap://192.0.2.7:389", "LDAP_START_TLS": "0"}, "passwords would be sent unencrypted"),
        ({"LDAP_URL": "ldap://ldap.example.org", "LDAP_START_TLS": "1"}, "taken ldap://ldap.example.org"),
        ({"LDAP_URL": "ldaps://ldap.example.org"}, "taken ldaps://ldap.example.org"),
        ({"LDAP_URL": "ldap://127.0.0.1:1389"}, "taken ldap://127.0.0.1:1389"),
        ({"LDAP_URL": "http://ldap.example.org"}, "this is not an address"),
    ],
)
def test_addresses(variables: dict[str, str], said: str, tmp_path: Path) -> None:
    pytest.importorskip("ldap3", reason="ldap3 is not installed (pip install -r requirements/ldap.txt)")
    text = load(tmp_path, **variables)
    assert said in text, text
