"""Single sign-on in a real browser, with a provider that is not ours, under the site's own policy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import requests
from playwright.sync_api import Browser, expect

from tests.e2e.browsing import Watch, shoot_views
from tests.fixtures import saml_server
from tests.fixtures.identity_provider import logout_token, serving
from tests.fixtures.saml_provider import Keys, logout_request
from tests.stack import Stack


def test_in_through_a_provider_and_out_from_either_side(live: Callable[..., Stack], browser: Browser) -> None:
    with serving() as (idp, key):
        env = {
            "SSO_PROVIDERS": "acme", "SSO_ACME_URL": idp, "SSO_ACME_NAME": "Acme", "SSO_ACME_CLIENT_ID": "antiphon",
            "SSO_ACME_CLIENT_SECRET": "a secret", "SSO_ONLY": "1", "SSO_EMERGENCY_ADMIN": "root@example.org",
            "SSO_ACME_SIGN_UP": "1",
        }  # fmt: skip
        site = live(web=1, workers=0, env=env).url
        person: dict[str, Any] = {"email": "ana@example.org", "email_verified": True, "name": "Ana"}
        requests.put(f"{idp}/users/ana", json=person, timeout=10).raise_for_status()
        page = browser.new_context().new_page()
        watch = Watch(page, site)

        def log_in() -> None:
            page.get_by_role("button", name="Continue with Acme").click()
            page.wait_for_url(f"{idp}/**")
            page.get_by_placeholder("sub").fill("ana")
            page.get_by_role("button", name="Authorize").click()
            page.wait_for_url(f"{site}/")

        page.goto(f"{site}/accounts/login/")
        expect(page.get_by_label("Email")).to_be_hidden()  # for the emergency administrator
        shoot_views(page, "sso-log-in", full_page=True)
        log_in()
        page.goto(f"{site}/accounts/settings/security/")
        expect(page.get_by_text("Connected since")).to_be_visible()
        shoot_views(page, "sso-security", full_page=True)

        page.goto(f"{site}/")
        with page.expect_navigation(url=re.compile("/accounts/login/")):  # the open page leaves by itself
            token = logout_token(idp, key, "antiphon", sub="ana")
            answer = requests.post(f"{site}/accounts/oidc/acme/back-channel/", data={"logout_token": token}, timeout=10)
            assert answer.status_code == 200, answer.text

        log_in()
        page.goto(f"{site}/accounts/logout/")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"{idp}/oauth2/end_session?**")
        page.goto(f"{site}/accounts/settings/")
        expect(page).to_have_url(re.compile("/accounts/login/"))
        assert [line for line in watch.complaints if "Content Security Policy" in line] == []


def test_in_and_out_with_saml(live: Callable[..., Stack], browser: Browser) -> None:
    """The provider is on another site, so the browser sends no session with what its page posts."""
    keys = Keys()
    person = {"mail": ["ana@example.org"], "displayName": ["Ana"]}
    with saml_server.serving(keys, person) as (idp, visits):
        env = {
            "SSO_PROVIDERS": "acme", "SSO_ACME_METADATA": f"{idp}/metadata", "SSO_ACME_NAME": "Acme",
            "SSO_ACME_TRUST_EMAIL": "1", "SSO_ACME_SIGN_UP": "1",
        }  # fmt: skip
        site = live(web=1, workers=0, env=env).url
        page = browser.new_context().new_page()
        watch = Watch(page, site)

        def log_in() -> None:
            page.get_by_role("button", name="Continue with Acme").click()
            page.wait_for_url(f"{idp}/sso**")
            page.get_by_role("button", name="Log in as Ana").click()
            page.wait_for_url(f"{site}/")

        page.goto(f"{site}/accounts/login/")
        log_in()
        with page.expect_navigation(url=re.compile("/accounts/login/")):  # the open page leaves by itself
            told = requests.get(logout_request(keys, f"{site}/accounts/saml/acme/sls/"), timeout=10)
            assert told.status_code == 200, told.text
            assert any("SAMLResponse=" in one for one in visits)

        log_in()
        page.goto(f"{site}/accounts/logout/")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"{idp}/slo?**")
        expect(page.get_by_text("You are logged out at Acme")).to_be_visible()
        page.goto(f"{site}/accounts/saml/acme/acs/finish/")
        expect(page.get_by_text("This browser didn’t ask Acme for a log-in")).to_be_visible()
        shoot_views(page, "sso-saml-refused", full_page=True)
        page.goto(f"{site}/accounts/settings/")
        expect(page).to_have_url(re.compile("/accounts/login/"))
        assert [line for line in watch.complaints if "Content Security Policy" in line] == []
