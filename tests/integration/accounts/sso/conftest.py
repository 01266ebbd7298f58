"""A real provider of OpenID Connect (`oidc-provider-mock` of PyPI), and a site that knows it as "acme"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.core.cache import cache
from django.test import Client

from accounts.auth.sso_settings import SsoProvider
from tests.fixtures.identity_provider import logout_token, serving
from tests.integration.accounts.sso.saml import saml_provider  # noqa: F401  # a fixture

SITE = "http://testserver"


@dataclass
class Idp:
    """The provider. `key` signs what it signs."""

    url: str
    key: Any
    provider: SsoProvider

    def person(self, sub: str, **claims: Any) -> None:
        """Somebody who can log in there, with these claims."""
        answer = requests.put(f"{self.url}/users/{sub}", json=claims, timeout=10)
        answer.raise_for_status()

    def logout_token(self, **claims: Any) -> str:
        """One that is valid but for what `claims` change; a claim that is None is left out."""
        return logout_token(self.url, self.key, self.provider.client_id, **claims)


@pytest.fixture(scope="session")
def running_idp() -> Iterator[tuple[str, Any]]:
    with serving() as found:
        yield found


@pytest.fixture
def idp(running_idp: tuple[str, Any], settings: Any) -> Idp:
    url, key = running_idp
    provider = SsoProvider("acme", "Acme", url, "antiphon", "a secret")
    found = Idp(url, key, provider)
    use(settings, provider)
    return found


def use(settings: Any, provider: SsoProvider, **changed: Any) -> SsoProvider:
    """The site's settings name this provider, with what is changed."""
    provider = replace(provider, **changed)
    settings.SSO_PROVIDERS = {provider.id: provider}
    app = {
        "provider_id": provider.id, "name": provider.name, "client_id": provider.client_id, "secret": provider.secret,
        "settings": {
            "server_url": provider.url, "scope": list(provider.scopes), "verified_email": provider.trusts_email
        },
    }  # fmt: skip
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
    cache.clear()
    return provider


@dataclass
class Way:
    """How a browser went to the provider and back."""

    asked: dict[str, str]  # the authorization request
    answer: Any  # of our callback


@pytest.fixture
def log_in() -> Callable[..., Way]:
    """Logs a browser in as a person of the provider."""

    def go(client: Client, sub: str, *, process: str = "", after: str = "") -> Way:
        query = f"?process={process}" if process else ""
        page = client.post(f"/accounts/oidc/acme/login/{query}", {"next": after} if after else {})
        assert page.status_code == 200, page
        address = page.context["address"]
        back = requests.post(address, data={"sub": sub}, allow_redirects=False, timeout=10)
        assert back.status_code == 302, back.text
        location = back.headers["Location"]
        assert location.startswith(f"{SITE}/accounts/oidc/acme/login/callback/")
        answer = client.get(location.removeprefix(SITE))
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        return Way(asked, answer)

    return go
