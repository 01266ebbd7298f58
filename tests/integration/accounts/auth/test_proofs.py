"""Dangerous acts on one's own account: a page that was left open is not enough for any of them."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.auth.adapter import make_reset_key
from accounts.models import ApiToken, AuditEntry, User
from tests.conftest import PASSWORD
from tests.fixtures.one_time_codes import code_of, give_app
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
ACTS: dict[str, tuple[str, dict[str, str]]] = {
    "email/": ("post", {"action_add": "", "email": "other@example.org"}),
    "2fa/totp/deactivate/": ("post", {}),
    "2fa/recovery-codes/": ("get", {}),
    "2fa/recovery-codes/generate/": ("post", {}),
    "2fa/recovery-codes/download/": ("get", {}),
    "2fa/webauthn/add/": ("get", {}),
    "security/forget-browsers/": ("post", {}),
    "security/remove-password/": ("post", {}),
    "oidc/connections/1/end/": ("post", {}),
    "delete/": ("post", {"email": "alice@example.org"}),
    "tokens/new/": ("post", {"name": "x", "scopes": "chat", "days": "1"}),
}


@pytest.mark.parametrize("act", ACTS)
def test_is_asked_for(act: str, alice: User) -> None:
    give_app(alice)
    client = logged_in(alice)
    method, fields = ACTS[act]
    before = sorted(Authenticator.objects.values_list("pk", flat=True))
    answer: Any = getattr(client, method)(f"/accounts/{act}", fields)
    assert answer.status_code == 302
    assert "/reauthenticate/" in answer["Location"], answer["Location"]
    alice.refresh_from_db()
    assert (alice.email, alice.erase_at, alice.has_usable_password()) == ("alice@example.org", None, True)
    assert sorted(Authenticator.objects.values_list("pk", flat=True)) == before
    assert not ApiToken.objects.exists()
    assert not AuditEntry.objects.exclude(verb__in=("login", "new_device")).exists()


def test_another_password_needs_the_one_before(alice: User) -> None:
    client = logged_in(alice)
    new = "quite another battery"
    client.post("/accounts/password/change/", {"oldpassword": "wrong", "password1": new, "password2": new})
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_a_link_for_a_new_password_leaves_the_factor(alice: User) -> None:
    give_app(alice)
    client, new = Client(), "quite another battery"
    form = client.post("/accounts/password/open/", {"secret": make_reset_key(alice)})["Location"]
    client.post(form, {"password1": new, "password2": new})
    alice.refresh_from_db()
    assert alice.check_password(new)
    assert Authenticator.objects.filter(user=alice, type="totp").exists()
    assert "_auth_user_id" not in client.session
    other = Client()
    answer = other.post("/accounts/login/", {"login": alice.email, "password": new})
    assert answer["Location"] == "/accounts/2fa/authenticate/"
    assert "_auth_user_id" not in other.session
    other.post("/accounts/2fa/authenticate/", {"code": code_of()})
    other.post("/accounts/2fa/trust/", {"action": "no"})
    assert "_auth_user_id" in other.session
