"""The site behind each proxy of deploy/proxies, for several files: their tests run one proxy after the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator

import pytest

from tests import collected
from tests.deployment.proxies import PROXIES, Proxy
from tests.deployment.sites import Site, site_behind
from tests.fixtures.saml_provider import Keys, metadata

NEWER = "chat/newer.0123456789ab.js"


@pytest.fixture(scope="session")
def idp() -> Keys:
    """The keys of the provider of SAML that the site knows as "acme"."""
    return Keys()


@pytest.fixture(scope="session", params=PROXIES, ids=lambda kind: kind.program)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, idp: Keys
) -> Generator[Site, None, None]:
    """The second web process has a static file that the first one has not, as while a new version is installed."""
    kind: type[Proxy] = request.param
    if not kind.is_installed():
        pytest.skip(f"{kind.program} is not installed (Debian: apt install {kind.program})")
    folder = tmp_path_factory.mktemp(kind.program)
    newer = folder / "static"
    shutil.copytree(collected.environment()["STATIC_ROOT"], newer)
    (newer / NEWER).write_text("let a;")
    listed = json.loads((newer / "staticfiles.json").read_text())
    listed["paths"]["chat/newer.js"] = NEWER
    listed["stats"][NEWER] = list((newer / NEWER).stat())
    (newer / "staticfiles.json").write_text(json.dumps(listed))
    (folder / "idp.xml").write_text(metadata(idp))
    env = {
        "SHARE_WITH_ANYONE": "1", "SSO_PROVIDERS": "acme", "SSO_ACME_METADATA": str(folder / "idp.xml"),
        "SSO_ACME_TRUST_EMAIL": "1", "SSO_ACME_SIGN_UP": "1",
    }  # fmt: skip
    with site_behind(kind, folder, env=env, env_of={"web2": {"STATIC_ROOT": str(newer)}}) as running:
        yield running
