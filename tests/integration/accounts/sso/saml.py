"""A site that knows a SAML provider as "acme", and a browser that goes there and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from allauth.socialaccount.providers import registry
from allauth.socialaccount.providers.saml.provider import SAMLProvider
from django.core.cache import cache
from django.test import Client

from accounts.auth.sso_settings import SamlSettings, SsoProvider, allauth_settings
from tests.fixtures.saml_provider import Keys, Question, encode, metadata, read_question, response

ACS, SLS, LOGIN = (f"/accounts/saml/acme/{one}/" for one in ("acs", "sls", "login"))
SITE = "http://testserver"


@dataclass
class Idp:
    """The provider that the site knows, and how."""

    keys: Keys
    provider: SsoProvider
    folder: Path
    settings: Any

    def use(self, *, saml: dict[str, Any] | None = None, text: str = "", **changed: Any) -> None:
        """The site's settings name this provider, with what is changed."""
        if text:
            (self.folder / "metadata.xml").write_text(text)
        assert self.provider.saml is not None
        self.provider = replace(self.provider, **changed, saml=replace(self.provider.saml, **(saml or {})))
        self.settings.SSO_PROVIDERS = {"acme": self.provider}
        self.settings.SOCIALACCOUNT_PROVIDERS = allauth_settings([self.provider])
        cache.clear()

    def ask(self, client: Client, *, process: str = "", after: str = "") -> Question:
        """The question that the site sends the browser to the provider with."""
        page = client.post(LOGIN + (f"?process={process}" if process else ""), {"next": after} if after else {})
        assert page.status_code == 200, page.content
        return read_question(page.context["address"])

    def answer(self, client: Client, document: Any) -> Any:
        """What the site says to a response, in the end. Browsers send no session with the provider's post."""
        text = document if isinstance(document, str) else encode(document)
        posted = Client(enforce_csrf_checks=True).post(ACS, {"SAMLResponse": text, "RelayState": ""})
        if posted.status_code != 302:
            return posted
        client.cookies.update(posted.cookies)
        return client.get(posted["Location"])

    def log_in(self, client: Client, person: dict[str, list[str]], *, after: str = "", **changed: Any) -> Any:
        return self.answer(client, response(self.keys, self.ask(client, after=after), person, **changed))


KEYS = Keys()


@pytest.fixture(name="saml")
def saml_provider(settings: Any, tmp_path: Path) -> Iterator[Idp]:
    registry.load()
    before = dict(registry.provider_map)
    registry.register(SAMLProvider)  # as INSTALLED_APPS does where settings name such a provider
    file = tmp_path / "metadata.xml"
    found = Idp(KEYS, SsoProvider("acme", "Acme", "", "", "", trusts_email=True, saml=SamlSettings(str(file))),
                tmp_path, settings)  # fmt: skip
    found.use(text=metadata(KEYS))
    yield found
    registry.provider_map.clear()
    registry.provider_map.update(before)


def person(email: str, *groups: str, **more: str) -> dict[str, list[str]]:
    return {"mail": [email], "groups": list(groups), **{name: [value] for name, value in more.items()}}
