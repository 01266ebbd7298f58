"""Log-in with the password of an LDAP directory, against Debian's slapd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.test import Client

pytest.importorskip("ldap3", reason="ldap3 is not installed (pip install -r requirements/ldap.txt)")

from accounts.auth.sso_settings import SsoProvider
from accounts.models import AuditEntry, Invitation, Plan, User
from accounts.sso import ldap_directory
from accounts.sso.ldap_directory import DirectoryError, find_and_check
from tests.conftest import make_user
from tests.fixtures import ldap_server
from tests.fixtures.ldap_server import BASE, PASSWORD, READER

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
ADA = "ada@example.org"
DJANGO, OURS = "allauth.account.auth_backends.AuthenticationBackend", "accounts.sso.ldap_backend.LdapBackend"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ldap_server.serving(tmp_path_factory.mktemp("ldap")) as url:
        yield url


@pytest.fixture(autouse=True)
def directory(running: str, settings: Any) -> None:
    use(settings, running)


def use(settings: Any, url: str, **claims: Any) -> None:
    settings.LDAP_URL, settings.LDAP_BASE = url, f"ou=people,{BASE}"
    settings.LDAP_BIND_DN, settings.LDAP_BIND_PASSWORD = READER, "reads"
    settings.AUTHENTICATION_BACKENDS = [DJANGO, OURS]
    settings.LDAP_CLAIMS = SsoProvider("ldap", "LDAP", url, "", "", **claims)
    cache.clear()


def log_in(email: str = ADA, password: str = PASSWORD) -> tuple[Client, Any]:
    browser = Client()
    return browser, browser.post("/accounts/login/", {"login": email, "password": password})


def test_the_first_log_in_makes_the_account(settings: Any) -> None:
    settings.SIGN_UP = "invitation"
    browser, answer = log_in("Ada@Example.org")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    user = User.objects.get()
    assert (user.email, user.name, user.has_usable_password()) == (ADA, "Ada Lovelace", False)
    assert EmailAddress.objects.get(user=user).verified
    assert browser.get("/accounts/settings/").status_code == 200  # the session finds its user by this backend
    assert log_in()[1].status_code == 302
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (ADA, "wrong"),
        (ADA, ""),
        ("nobody@example.org", PASSWORD),
        ("twice@example.org", PASSWORD),
        ("*@example.org", PASSWORD),
    ],
)
def test_who_does_not_get_in(email: str, password: str) -> None:
    assert log_in(email, password)[1].status_code == 200
    assert not User.objects.exists()


def test_special_characters_are_no_filter() -> None:
    assert find_and_check("a*c(1)@example.org", PASSWORD) is not None
    assert find_and_check("a*", PASSWORD) is None
    assert find_and_check("*)(uid=ada", PASSWORD) is None
    assert find_and_check(ADA, "") is None  # an empty password would succeed as nobody


def test_wrong_passwords_are_counted() -> None:
    for _ in range(5):
        log_in(password="wrong")
    assert "Too many" in log_in()[1].content.decode()
    assert AuditEntry.objects.filter(verb="login_failed").count() >= 5


@pytest.mark.parametrize("base", ["", f"ou=groups,{BASE}"])
def test_groups_follow_the_directory(running: str, settings: Any, base: str) -> None:
    group, gold = Group.objects.create(name="Engineering"), Plan.objects.create(name="Gold")
    use(settings, running, groups=(("engineers", "Engineering"),), plans=(("engineers", "Gold"),),
        staff=frozenset({f"cn=engineers,ou=groups,{BASE}"}))  # fmt: skip
    settings.LDAP_GROUP_BASE = base
    settings.LDAP_GROUP_ATTRIBUTE = "" if base else "memberOf"
    log_in()
    user = User.objects.get()
    assert (list(user.groups.all()), user.plan, user.is_staff) == ([group], gold, True)
    use(settings, running, groups=(("others", "Engineering"),), staff=frozenset({"others"}))
    log_in()
    user.refresh_from_db()
    assert (user.groups.exists(), user.is_staff) == (False, False)


def test_an_account_that_is_there() -> None:
    ada = make_user("Ada")
    assert log_in()[1].status_code == 302
    assert User.objects.get() == ada
    assert log_in(password="correct horse battery staple")[1].status_code == 302  # the site's own goes on working


def test_an_address_that_nobody_has_confirmed(settings: Any) -> None:
    """Whoever signed up with the address knows a password of the account: it is not given to its owner like that."""
    ada = make_user("Ada")
    EmailAddress.objects.create(user=ada, email=ADA, primary=True, verified=False)
    assert log_in()[1].status_code == 200
    assert AuditEntry.objects.get(verb="sso_refused").details == "ldap: unconnected"


def test_a_disabled_account_stays_out() -> None:
    log_in()
    User.objects.update(is_active=False)
    assert log_in()[1]["Location"] == "/accounts/inactive/"


def test_only_invited_people(settings: Any) -> None:
    settings.LDAP_SIGN_UP, settings.SIGN_UP = False, "invitation"
    assert log_in()[1].status_code == 200
    assert not User.objects.exists()
    assert not Invitation.objects.exists()
    settings.SIGN_UP = "approval"
    assert log_in()[1]["Location"] == "/accounts/waiting/"
    assert User.objects.get().awaits_approval


def test_a_directory_that_is_away(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The site's own passwords work all the same."""
    use(settings, "ldap://127.0.0.1:1")
    make_user("Bob")
    assert log_in("bob@example.org", "correct horse battery staple")[1].status_code == 302
    assert log_in()[1].status_code == 200
    assert "ldap_not_asked" in caplog.text
    assert PASSWORD not in caplog.text
    with pytest.raises(DirectoryError):
        find_and_check(ADA, PASSWORD)


def test_a_wrong_password_of_the_reader(settings: Any) -> None:
    settings.LDAP_BIND_PASSWORD = "wrong"
    with pytest.raises(DirectoryError, match="LDAP_BIND_DN"):
        find_and_check(ADA, PASSWORD)


def test_tls_is_checked(tmp_path: Path, settings: Any) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate),
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    with ldap_server.serving(tmp_path, (certificate, key)) as url:
        use(settings, url)
        with pytest.raises(DirectoryError):
            find_and_check(ADA, PASSWORD)  # nobody vouches for the certificate
        settings.LDAP_CA_FILE = str(certificate)
        found = find_and_check(ADA, PASSWORD)
        assert found is not None
        assert found.email == ADA
    assert ldap_directory.SECONDS <= 5
