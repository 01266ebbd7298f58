"""What the doctor says of providers of single sign-on."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from config.ops.sign_on_checks import check_sign_on
from tests.conftest import PASSWORD
from tests.fixtures.saml_provider import Keys, metadata
from tests.integration.accounts.sso.conftest import use
from tests.integration.accounts.sso.saml import Idp, saml_provider  # noqa: F401  # a fixture

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]


def test_no_provider(settings: Any) -> None:
    settings.SSO_PROVIDERS = {}
    assert check_sign_on("")[0] == "ok"


def test_saml(saml: Idp, settings: Any) -> None:
    saml.use(text=metadata(Keys(days=400)))
    assert check_sign_on("")[:2] == ("ok", "The metadata of Acme can be read.")
    saml.use(text=metadata(Keys(days=10)))
    level, said, _ = check_sign_on("")
    assert (level, said.startswith("The certificate of Acme ends on 20")) == ("warn", True)
    (saml.folder / "metadata.xml").write_text("<a/>")
    level, said, advice = check_sign_on("")
    assert (level, "Nobody can log in through Acme" in said, ".env" in advice) == ("fail", True, True)
    saml.use(text=metadata(Keys(days=400)))
    settings.SSO_ONLY, settings.SSO_EMERGENCY_ADMIN = True, "root@example.org"
    level, said, _ = check_sign_on("")
    assert (level, "nobody could log in while" in said) == ("warn", True)
    User.objects.create_superuser("root@example.org", PASSWORD)
    assert check_sign_on("")[0] == "ok"


def test_openid_connect_that_is_away(saml: Idp, settings: Any) -> None:
    use(settings, saml.provider, saml=None, url="http://127.0.0.1:9")
    assert check_sign_on("")[:2] == ("fail", "Nobody can log in through Acme: no metadata: ConnectionError.")
