"""What a site behind TLS sends and refuses, and what Django warns of."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests import forking
from tests.servers import servers

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


def run_manage(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return forking.run(*command, env={**os.environ, **servers.environment(), **environment})


class TestProduction:
    HTTPS = {"HTTPS": "1", "ALLOWED_HOSTS": "chat.example.org", "ALLOWED_ORIGINS": "https://chat.example.org"}  # noqa: RUF012  # never changed

    def test_django_finds_nothing_to_warn_of(self) -> None:
        done = run_manage("check", "--deploy", "--fail-level", "WARNING", **self.HTTPS)
        assert done.returncode == 0, done.stderr
        assert "no issues" in done.stdout

    def test_cookies_and_transport(self) -> None:
        """In a process of its own: settings are read once."""
        script = """
from django.test import Client
client = Client()
plain = client.get('/accounts/login/', HTTP_HOST='chat.example.org')
print(plain.status_code, plain['Location'])
page = client.get('/accounts/login/', HTTP_HOST='chat.example.org', HTTP_X_FORWARDED_PROTO='https')
print(page['Strict-Transport-Security'])
for name, cookie in page.cookies.items():
    print(name, cookie['secure'], cookie['samesite'], cookie['domain'] == '', cookie['path'])
from django.conf import settings as known
print(known.SESSION_COOKIE_NAME, *(getattr(known, f'SESSION_COOKIE_{x}') for x in ('SECURE', 'HTTPONLY', 'SAMESITE')))
"""
        done = run_manage("shell", "--no-imports", "-c", script, **self.HTTPS)
        assert done.stdout.splitlines() == [
            "301 https://chat.example.org/accounts/login/",
            "max-age=31536000",
            "__Host-csrftoken True Lax True /",
            "__Host-sessionid True True Lax",
        ], done.stderr

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("EMAIL_VERIFICATION", "perhaps"),
            ("TRUSTED_PROXIES", "many"),
            ("LOGIN_RATE", "often"),
            ("HTTPS", "si"),
            ("ALLOWED_ORIGINS", "chat.example.org"),
        ],
    )
    def test_garbage_is_refused_by_name(self, name: str, value: str) -> None:
        done = run_manage("check", **{name: value})
        assert done.returncode != 0
        assert name in done.stderr

    def test_a_wildcard_host_is_pointed_out(self) -> None:
        assert "accounts.W001" in run_manage("check", ALLOWED_HOSTS="*").stderr
