"""What SAML providers send through the browser: answers to log-ins, and log-outs. All of it is from strangers until its
signature is checked.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.core.cache import cache
from onelogin.saml2.errors import OneLogin_Saml2_ValidationError as Invalid
from onelogin.saml2.logout_request import OneLogin_Saml2_Logout_Request
from onelogin.saml2.logout_response import OneLogin_Saml2_Logout_Response
from onelogin.saml2.response import OneLogin_Saml2_Response

from accounts.auth.sso_settings import SsoProvider
from accounts.sso.saml_settings import XML_ERRORS, build_auth, build_settings, read_metadata, request_data

LARGEST: Final = 400_000  # characters of a response, in base64
KEPT_SECONDS: Final = 24 * 3600  # for which what has no end is remembered as used
LEEWAY: Final = 600
TRANSIENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
SUBJECT_ID: Final = "urn:oasis:names:tc:SAML:attribute:subject-id"

_WHY: Final = {
    Invalid.STATUS_CODE_IS_NOT_SUCCESS: "declined",
    **dict.fromkeys((Invalid.ASSERTION_TOO_EARLY, Invalid.ASSERTION_EXPIRED, Invalid.SESSION_EXPIRED,
                     Invalid.RESPONSE_EXPIRED, Invalid.WRONG_SUBJECTCONFIRMATION), "time"),
    **dict.fromkeys((Invalid.WRONG_AUDIENCE, Invalid.WRONG_DESTINATION, Invalid.EMPTY_DESTINATION), "audience"),
    **dict.fromkeys((Invalid.WRONG_ISSUER, Invalid.ISSUER_NOT_FOUND_IN_ASSERTION, Invalid.INVALID_SIGNATURE,
                     Invalid.NO_SIGNATURE_FOUND, Invalid.NO_SIGNED_MESSAGE, Invalid.NO_SIGNED_ASSERTION,
                     Invalid.DEPRECATED_SIGNATURE_METHOD, Invalid.DEPRECATED_DIGEST_METHOD), "signature"),
}  # fmt: skip


class SamlRefused(Exception):
    """`why`: one of the reasons that the page has sentences for; `details`: for the log."""

    def __init__(self, why: str, details: str = "") -> None:
        super().__init__(f"{why}: {details}" if details else why)
        self.why = why
        self.details = details


@dataclass(frozen=True, slots=True)
class SamlPerson:
    """Whom a checked response names. Its methods are what allauth's provider asks a response for."""

    name_id: str
    name_id_format: str
    session_index: str
    in_response_to: str
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def get_attributes(self) -> dict[str, list[str]]:
        return self.attributes

    def get_nameid(self) -> str:
        return self.name_id

    def get_nameid_format(self) -> str:
        return self.name_id_format

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def start_log_in(provider: SsoProvider, origin: str, path: str) -> tuple[str, str]:
    """The address at the provider that asks for a log-in, and the id of that question. Raises `SamlMetadataError`."""
    auth = build_auth(build_settings(provider, origin), origin, path)
    address: str = auth.login(return_to="")
    return address, str(auth.get_last_request_id())


def check_response(provider: SsoProvider, origin: str, path: str, text: str) -> SamlPerson:
    """Whom the response names that was posted to `path`: signed by the provider, for this site, in time, asked for,
    and not seen before. Raises `SamlRefused`, and `SamlMetadataError`.
    """
    if not text or len(text) > LARGEST:
        raise SamlRefused("unreadable", f"{len(text)} characters")
    settings = build_settings(provider, origin)
    try:
        response = OneLogin_Saml2_Response(settings, text)
        response.is_valid(request_data(origin, path), raise_exceptions=True)
        audiences = response.get_audiences()
        name = response.get_nameid_data() or {}
        person = SamlPerson(
            name_id=str(name.get("Value") or ""),
            name_id_format=str(name.get("Format") or ""),
            session_index=str(response.get_session_index() or ""),
            in_response_to=str(response.get_in_response_to() or ""),
            attributes={str(key): [str(one) for one in values] for key, values in response.get_attributes().items()},
        )
        assertion, ends = str(response.get_assertion_id()), response.get_assertion_not_on_or_after()
    except Invalid as error:
        raise SamlRefused(_WHY.get(error.code, "unreadable"), str(error)[:300]) from error
    except XML_ERRORS as error:
        raise SamlRefused("unreadable", type(error).__name__) from error
    if not audiences:
        raise SamlRefused("audience", "it names no audience")
    if not person.in_response_to:
        raise SamlRefused("unasked", "it answers no question of ours")
    if not person.attributes.get(SUBJECT_ID) and (not person.name_id or person.name_id_format == TRANSIENT):
        raise SamlRefused("nobody", "no lasting name")
    left = ends - time.time() + LEEWAY if ends else KEPT_SECONDS
    if not _first_use(provider, assertion, left):
        raise SamlRefused("used", "the assertion was used before")
    return person


@dataclass(frozen=True, slots=True)
class SamlLogout:
    """Whom a provider logs out, of which sessions (none named: of all), and the address that it gets its answer at."""

    name_id: str
    sessions: list[str]
    answer: str


def check_logout_request(provider: SsoProvider, origin: str, path: str, query: dict[str, str]) -> SamlLogout:
    """A provider's log-out with the binding HTTP-Redirect, signed and not seen before. Raises `SamlRefused`, and
    `SamlMetadataError`.
    """
    text = query.get("SAMLRequest", "")
    if not text or len(text) > LARGEST:
        raise SamlRefused("unreadable", f"{len(text)} characters")
    settings = build_settings(provider, origin, requires_signed_messages=True)
    auth = build_auth(settings, origin, path, query)
    lowercase = build_auth(settings, origin, path, query, lowercase=True)  # some sign %2f where others sign %2F
    try:
        if not auth.validate_request_signature(query) and not lowercase.validate_request_signature(query):
            raise SamlRefused("signature", str(auth.get_last_error_reason() or ""))
        request = OneLogin_Saml2_Logout_Request(settings, text)
        request.is_valid(request_data(origin, path, query), raise_exceptions=True)
        xml = request.get_xml()
        key = settings.get_sp_key() or None
        name_id = str(OneLogin_Saml2_Logout_Request.get_nameid(xml, key))
        sessions = [str(one) for one in OneLogin_Saml2_Logout_Request.get_session_indexes(xml)]
        if not _first_use(provider, str(request.id), KEPT_SECONDS):
            raise SamlRefused("used", "the log-out was used before")
        return SamlLogout(name_id, sessions, _logout_answer(settings, auth, str(request.id), query))
    except Invalid as error:
        raise SamlRefused(_WHY.get(error.code, "unreadable"), str(error)[:300]) from error
    except XML_ERRORS as error:
        raise SamlRefused("unreadable", type(error).__name__) from error


def logout_address(provider: SsoProvider, origin: str, path: str, facts: dict[str, Any]) -> str:
    """Of the provider's log-out, with what a session remembers of its log-in. Empty if the provider has none. Raises
    `SamlMetadataError`.
    """
    if not (read_metadata(provider).get("singleLogoutService") or {}).get("url"):
        return ""
    auth = build_auth(build_settings(provider, origin), origin, path)
    address: str = auth.logout(
        return_to="", name_id=facts.get("name_id", ""), session_index=facts.get("session_index") or None,
        name_id_format=facts.get("name_id_format") or None,
    )  # fmt: skip
    return address


def _logout_answer(settings: Any, auth: Any, request_id: str, query: dict[str, str]) -> str:
    """The provider's address that is told of the log-out; empty where its metadata has none."""
    if not auth.get_slo_response_url():
        return ""
    builder = OneLogin_Saml2_Logout_Response(settings)
    builder.build(request_id)
    parameters = {"SAMLResponse": builder.get_response()}
    if "RelayState" in query:
        parameters["RelayState"] = query["RelayState"]
    if settings.get_security_data()["logoutResponseSigned"]:
        auth.add_response_signature(parameters, settings.get_security_data()["signatureAlgorithm"])
    address: str = auth.redirect_to(auth.get_slo_response_url(), parameters)
    return address


def _first_use(provider: SsoProvider, message: str, seconds: float) -> bool:
    digest = hashlib.sha256(f"{provider.id} {message}".encode()).hexdigest()[:32]
    return bool(cache.add(f"sso:saml:used:{digest}", 1, timeout=int(min(max(seconds, LEEWAY), KEPT_SECONDS))))
