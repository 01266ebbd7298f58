"""Which variables make a provider of SAML, and which are refused, with what words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.templates import ROOT

ADDRESS = "https://idp.example.org/m"
PRINT = """
from config.settings import sso
for one in sso.SSO_PROVIDERS.values():
    print(one.id, one.login_route, one.saml and one.saml.email, "SAML" if one.saml and one.saml.key else "")
print(sum(name.endswith(".saml") for name in sso.INSTALLED_APPS))
"""


MISSING = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "xmlsec" else find(name, *more)
"""


def load(folder: Path, *, before: str = "", **variables: str) -> tuple[int, str]:
    (folder / "idp.xml").write_text("<a/>")
    (folder / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
    (folder / "none").write_text("")
    env = {**os.environ, "ANTIPHON_ENV_FILE": str(folder / "none"), "SSO_PROVIDERS": "acme", **variables}
    command = [sys.executable, "-W", "ignore", "-c", before + PRINT]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_saml(tmp_path: Path) -> None:
    key, file = str(tmp_path / "key.pem"), str(tmp_path / "idp.xml")
    code, said = load(tmp_path, SSO_ACME_METADATA=file, SSO_ACME_EMAIL_ATTRIBUTE="a,b", SSO_ACME_KEY_FILE=key,
                      SSO_ACME_CERTIFICATE_FILE=key)  # fmt: skip
    assert (code, said) == (0, "acme saml_login ('a', 'b') SAML\n1\n")
    code, said = load(tmp_path, SSO_ACME_URL="https://login.example.org", SSO_ACME_CLIENT_ID="a")
    assert (code, said) == (0, "acme openid_connect_login None \n0\n")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"METADATA": "/nowhere.xml"}, "SSO_ACME_METADATA: there is no file /nowhere.xml"),
        ({"METADATA": "http://idp.example.org/m"}, "neither an address with https nor a file"),
        (
            {"METADATA": ADDRESS, "URL": "https://idp.example.org"},
            "One provider speaks one protocol",
        ),
        (
            {"METADATA": ADDRESS, "KEY_FILE": "/nowhere.pem"},
            "SSO_ACME_KEY_FILE: /nowhere.pem cannot",
        ),
        ({"METADATA": ADDRESS, "KEY_FILE": __file__}, "set both, or none"),
        ({}, "SSO_ACME_URL: name the issuer here, or the metadata in SSO_ACME_METADATA for SAML"),
    ],
)
def test_what_is_refused(variables: dict[str, str], said: str, tmp_path: Path) -> None:
    code, text = load(tmp_path, **{f"SSO_ACME_{name}": value for name, value in variables.items()})
    assert code != 0
    assert said in text, text


def test_packages_that_are_not_installed(tmp_path: Path) -> None:
    code, said = load(tmp_path, before=MISSING, SSO_ACME_METADATA=ADDRESS)
    assert code != 0
    assert "pip install -r requirements/saml.txt" in said, said
