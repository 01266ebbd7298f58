"""A SAML provider's metadata, and what python3-saml is told about it and about this site."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from allauth.socialaccount.adapter import get_adapter
from django.core.cache import cache
from django.urls import reverse
from lxml.etree import LxmlError
from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Names
from onelogin.saml2.errors import OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError
from onelogin.saml2.idp_metadata_parser import OneLogin_Saml2_IdPMetadataParser as MetadataParser
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.xml_utils import OneLogin_Saml2_XML as Xml
from xmlsec import Error as XmlsecError

from accounts.auth.sso_settings import SsoProvider

FRESH_SECONDS: Final = 600
LARGEST_METADATA: Final = 8_000_000  # bytes; federations list thousands of providers
# What python3-saml and what it parses with raise on texts that strangers send.
XML_ERRORS: Final = (
    OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError, LxmlError, XmlsecError, ValueError, TypeError, LookupError,
    AttributeError,
)  # fmt: skip


class SamlMetadataError(Exception):
    """The provider's metadata cannot be read, or is not what settings say."""


def read_metadata(provider: SsoProvider, *, fresh: bool = False) -> dict[str, Any]:
    """What the provider's metadata says, as python3-saml has it (`entityId`, `singleSignOnService`, `x509cert` …),
    kept for some minutes unless `fresh`. Raises `SamlMetadataError`.
    """
    assert provider.saml is not None
    source, wanted = provider.saml.metadata, provider.saml.entity_id
    key = f"sso:saml:{provider.id}:{source}:{wanted}"
    known: dict[str, Any] | None = None if fresh else cache.get(key)
    if known is not None:
        return known
    text = _read(source)
    try:
        document = Xml.to_etree(text)
        ids = [node.get("entityID") for node in Xml.query(document, "//md:EntityDescriptor[md:IDPSSODescriptor]")]
        if isinstance(document.tag, str) and document.tag.endswith("}EntityDescriptor"):
            ids = ids or [document.get("entityID")]
        found = MetadataParser.parse(text, entity_id=wanted or None).get("idp") or {}
    except XML_ERRORS as error:
        raise SamlMetadataError(f"it is no metadata of SAML ({type(error).__name__})") from error
    if wanted and wanted not in ids:
        raise SamlMetadataError(f"it has no provider {wanted}")
    if not wanted and len(ids) > 1:
        raise SamlMetadataError(f"it has {len(ids)} providers: name one with SSO_…_ENTITY_ID")
    if not found.get("entityId") or not (found.get("singleSignOnService") or {}).get("url"):
        raise SamlMetadataError("it names no address for log-ins with the binding HTTP-Redirect")
    if not found.get("x509cert") and not found.get("x509certMulti"):
        raise SamlMetadataError("it has no certificate that answers could be checked with")
    cache.set(key, found, FRESH_SECONDS)
    return dict(found)


def certificates_of(metadata: dict[str, Any]) -> list[str]:
    """The certificates with which a provider signs: base64 without a frame."""
    return list((metadata.get("x509certMulti") or {}).get("signing") or [metadata["x509cert"]])


def build_settings(provider: SsoProvider, origin: str, *, requires_signed_messages: bool = False) -> Any:
    """python3-saml's settings. A response must be signed, or its assertion; `requires_signed_messages` is for log-outs,
    which have no assertion. Raises `SamlMetadataError`.
    """
    security = {
        **_security(provider),
        "wantMessagesSigned": requires_signed_messages,
        "wantAttributeStatement": False,  # some providers say no more than who it is
        "wantNameId": False,  # ours to say (accounts.sso.saml)
        "allowRepeatAttributeName": True,
        "rejectDeprecatedAlgorithm": True,  # SHA-1
        "requestedAuthnContext": False,
    }
    data = {
        "strict": True, "debug": False, "sp": _ours(provider, origin), "idp": read_metadata(provider),
        "security": security,
    }  # fmt: skip
    try:
        return OneLogin_Saml2_Settings(settings=data)
    except XML_ERRORS as error:
        raise SamlMetadataError(f"its values or those of the settings are not usable: {error}") from error


def our_metadata(provider: SsoProvider, origin: str) -> bytes:
    """What the provider is told about this site, whether its own metadata can be read or not."""
    data = {"strict": True, "sp": _ours(provider, origin), "security": _security(provider)}
    text: str | bytes = OneLogin_Saml2_Settings(settings=data, sp_validation_only=True).get_sp_metadata()
    return text if isinstance(text, bytes) else text.encode()


def _ours(provider: SsoProvider, origin: str) -> dict[str, Any]:
    assert provider.saml is not None
    return {
        "entityId": origin + reverse("saml_metadata", args=[provider.id]),
        "assertionConsumerService": {"url": origin + reverse("saml_acs", args=[provider.id])},
        "singleLogoutService": {"url": origin + reverse("saml_sls", args=[provider.id])},
        "NameIDFormat": Names.NAMEID_UNSPECIFIED,
        "privateKey": provider.saml.key,
        "x509cert": provider.saml.certificate,
    }


def _security(provider: SsoProvider) -> dict[str, Any]:
    """How what is sent to the provider is signed."""
    assert provider.saml is not None
    signs = bool(provider.saml.key)
    return {
        "authnRequestsSigned": signs,
        "logoutRequestSigned": signs,
        "logoutResponseSigned": signs,
        "allowSingleLabelDomains": True,
        "signatureAlgorithm": Names.RSA_SHA256,
        "digestAlgorithm": Names.SHA256,
        "metadataValidUntil": "",  # it has no end; python3-saml's is two days
    }


def build_auth(
    settings: Any, origin: str, path: str, query: dict[str, str] | None = None, *, lowercase: bool = False
) -> Any:
    """python3-saml's client for a request to this path of ours. `lowercase`: signatures are of a query with %2f."""
    data = request_data(origin, path, query) | {"lowercase_urlencoding": lowercase}
    return OneLogin_Saml2_Auth(data, old_settings=settings)


def request_data(origin: str, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
    """A request as python3-saml wants it: at the site's public address, whatever a proxy has passed on."""
    parts = urlsplit(origin)
    return {
        "https": "on" if parts.scheme == "https" else "off",
        "http_host": parts.netloc,
        "script_name": path,
        "path_info": "",
        "get_data": query or {},
        "post_data": {},
    }


def _read(source: str) -> bytes:
    try:
        if "://" not in source:
            return Path(source).read_bytes()
        with get_adapter().get_requests_session() as session, session.get(source, stream=True) as answer:
            answer.raise_for_status()
            text: bytes = answer.raw.read(LARGEST_METADATA + 1, decode_content=True)
    except (requests.RequestException, OSError) as error:
        raise SamlMetadataError(f"it cannot be read ({type(error).__name__})") from error
    if len(text) > LARGEST_METADATA:
        raise SamlMetadataError("it is larger than 8 MB")
    return text
