"""What holds for every address of the site, whichever is added: a rate for what changes something, and no caches."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account import app_settings as allauth
from allauth.mfa import app_settings as factors
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.auth.sso_settings import SsoProvider
from accounts.models import User
from chat.models import Conversation
from tests.fixtures.conversation_rows import make_conversation

pytestmark = pytest.mark.usefixtures("clean_redis", "db")

HTML = {"accept": "text/html"}
SCIM = f"/scim/v2/{uuid.UUID(int=7)}"
OWN_RATES = {"/ws/ticket/", "/csp-report/", "/s/token", "/accounts/oidc/token/back-channel/", SCIM}
ANYBODY_S = {"/offline/", "/service-worker.js", "/manifest.webmanifest"}  # the same for everybody
ASKED_EACH_TIME = {"/models/", "/prompts/library/"}  # kept, but asked for again each time
STATIC = "/static/"


def addresses(conversation: uuid.UUID) -> list[str]:
    """One address for each pattern; conversations are this one, other ids are nobody's."""

    def walk(patterns: list[Any], before: str) -> Iterator[str]:
        for one in patterns:
            part = before + fill(one.pattern)
            if isinstance(one, URLResolver):
                yield from walk(one.url_patterns, part)
            elif isinstance(one, URLPattern):
                yield part

    def fill(pattern: Any) -> str:
        route = str(pattern)
        if hasattr(pattern, "converters") and pattern.converters:
            for name, converter in pattern.converters.items():
                kind = type(converter).__name__
                value = {"IntConverter": "7", "StringConverter": "token", "SlugConverter": "slug"}.get(
                    kind, str(uuid.UUID(int=7))
                )
                value = str(conversation) if name == "conversation_id" else value
                route = re.sub(rf"<(\w+:)?{name}>", value, route)
        route = re.sub(r"\(\?P<\w+>[^)]*\)", "x", route)
        return re.sub(r"[\^$\\]|\\Z", "", route)

    found = walk(get_resolver().url_patterns, "/")
    return sorted({one for one in found if not one.startswith(STATIC) and "jsi18n" not in one})


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return make_conversation(alice)


@pytest.fixture
def boss(alice: User) -> Client:
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    client = Client(headers=HTML, raise_request_exception=False)
    client.force_login(User.objects.get(pk=alice.pk))
    return client


def test_the_list_is_not_empty(conversation: Conversation) -> None:
    found = addresses(conversation.pk)
    assert len(found) > 200
    assert {
        f"/c/{conversation.pk}/rename/",
        "/connections/new/",
        "/admin/accounts/user/add/",
        "/accounts/login/",
    } <= set(found)


def test_whatever_changes_something_has_a_rate(boss: Client, conversation: Conversation, settings: Any) -> None:
    settings.RATE_HTTP_COMMANDS = settings.RATE_UPLOADS = "1/d"
    assert boss.post("/connections/new/").status_code != 429
    assert boss.post("/uploads/new/").status_code != 429
    free = {path for path in addresses(conversation.pk) if boss.post(path).status_code != 429}
    assert free == OWN_RATES
    page = boss.post("/presets/new/")
    assert "Nothing was changed" in page.content.decode()
    assert int(page["Retry-After"]) > 1000
    piece = boss.post("/presets/new/", headers={"accept": "application/json"})
    assert piece.json()["code"] == "rate_limited"


def test_also_while_nobody_is_logged_in(conversation: Conversation, settings: Any) -> None:
    settings.RATE_HTTP_COMMANDS = settings.RATE_UPLOADS = "1/d"
    client = Client(headers=HTML, raise_request_exception=False)
    client.post("/join/accept/")
    client.post("/uploads/new/")
    free = {path for path in addresses(conversation.pk) if client.post(path).status_code != 429}
    assert {path for path in free - OWN_RATES if not path.startswith("/accounts/")} == set()
    allauth_s = (
        "login", "signup", "logout", "inactive", "reauthenticate", "email", "confirm-email", "confirm-email/x",
        "password/change", "password/set", "password/reset/done", "password/reset/key/done", "password/reset/key/x-x",
        "password/reset/key/x-y", "login/code/confirm",
        # These do nothing while nobody is logged in, or in the middle of a log-in, where each account has a limit.
        "2fa/authenticate", "2fa/reauthenticate", "2fa/trust", "2fa/totp/activate", "2fa/totp/deactivate",
        "2fa/recovery-codes", "2fa/recovery-codes/generate", "2fa/recovery-codes/download", "2fa/webauthn/add",
        "2fa/webauthn/reauthenticate", "2fa/webauthn/keys/7/edit", "2fa/webauthn/login", "3rdparty/login/cancelled",
        "3rdparty/login/error",
    )  # fmt: skip
    assert free - OWN_RATES <= {f"/accounts/{one}/" for one in allauth_s}
    assert "webauthn_login" in factors.RATE_LIMITS
    assert {"login", "login_failed", "signup", "reset_password", "reset_password_from_key"} <= set(allauth.RATE_LIMITS)


def test_those_with_rates_of_their_own(boss: Client, settings: Any) -> None:
    settings.RATE_TICKETS = settings.RATE_CSP_REPORTS = settings.RATE_SHARE_OPENS = settings.RATE_SSO_LOGOUTS = "1/d"
    settings.RATE_API_REFUSED = "1/d"  # of SCIM without a token
    settings.SSO_PROVIDERS = {"token": SsoProvider("token", "Token", "http://127.0.0.1:9", "client", "")}
    for path in OWN_RATES:
        assert [boss.post(path).status_code == 429 for _ in range(2)] == [False, True], path


def test_files_count_as_well(boss: Client, conversation: Conversation, settings: Any) -> None:
    settings.RATE_HTTP_COMMANDS = "1/d"
    boss.post("/presets/new/")
    for path in ("/conversations/export/", f"/c/{conversation.pk}/export/?as=json", "/prompts/export/"):
        assert boss.get(path).status_code == 429, path
    assert boss.get("/presets/").status_code == 200


def test_no_page_is_kept_by_caches(boss: Client, conversation: Conversation) -> None:
    kept = set()
    for path in addresses(conversation.pk):
        if path == "/accounts/logout/":
            continue
        said = boss.get(path).headers.get("Cache-Control", "")
        if "no-store" not in said:
            kept.add(path)
            assert path in ANYBODY_S or {"private", "no-cache"} <= set(said.split(", ")), (path, said)
    assert kept <= ANYBODY_S | ASKED_EACH_TIME
