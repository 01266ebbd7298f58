"""Asks an LDAP directory (RFC 4511) whether a password is right, and what it knows of its owner. With `ldap3`."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from ldap3 import NONE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import parse_dn

SECONDS: Final = 5  # for a connection, and for each answer
MOST_GROUPS: Final = 1_000


class DirectoryError(Exception):
    """The directory does not answer, or not as it should. The argument is for the log and has no password in it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody in the directory. `groups`: their distinguished names, and the first part of each (its `cn`)."""

    dn: str
    email: str
    name: str
    groups: frozenset[str]


def find_and_check(login: str, password: str) -> Entry | None:
    """Who has this address and password; None if nobody has, or if several people have the address.

    Looks the person up as LDAP_BIND_DN, and then logs in as them. Raises `DirectoryError`.
    """
    if not login or not password:  # a log-in without a password succeeds as nobody (RFC 4513 §5.1.2)
        return None
    try:
        with _bound(settings.LDAP_BIND_DN, settings.LDAP_BIND_PASSWORD) as reader:
            if not reader.bound:
                raise DirectoryError(f"LDAP_BIND_DN: {reader.result['description']}")
            entry = _find(reader, login)
            if entry is None or not _is_right(entry.dn, password):
                return None
            if settings.LDAP_GROUP_BASE:
                entry = Entry(entry.dn, entry.email, entry.name, _group_names(_find_groups(reader, entry.dn)))
            return entry
    except (LDAPException, OSError, UnicodeError) as error:
        raise DirectoryError(type(error).__name__) from error


class _CheckedTls(Tls):  # type: ignore[misc]  # ldap3 ships no types
    """Checks the certificate and its host with Python's own code: ldap3's uses what newer Pythons no longer have."""

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        context = ssl.create_default_context(cafile=settings.LDAP_CA_FILE or None)
        plain = connection.socket
        try:
            connection.socket = context.wrap_socket(
                plain, do_handshake_on_connect=True, server_hostname=connection.server.host
            )
        except OSError:
            plain.close()
            raise


@contextlib.contextmanager
def _bound(dn: str, password: str) -> Iterator[Connection]:
    """A connection that has tried to log in: `bound` says whether that was accepted. It is closed at the end."""
    server = Server(settings.LDAP_URL, tls=_CheckedTls(), get_info=NONE, connect_timeout=SECONDS)
    connection = Connection(
        server, user=dn or None, password=password or None, receive_timeout=SECONDS, read_only=True,
        raise_exceptions=False, auto_referrals=False,
    )  # fmt: skip
    opened: Any = None
    try:
        connection.open()
        opened = connection.socket
        if settings.LDAP_START_TLS and not connection.start_tls():
            raise DirectoryError("StartTLS was refused")
        connection.bind()
        yield connection
    finally:
        left = connection.socket
        with contextlib.suppress(LDAPException, OSError):
            connection.unbind()
        for one in (left, opened):  # after a refused password ldap3 leaves it open
            if one is not None:
                one.close()


def _is_right(dn: str, password: str) -> bool:
    with _bound(dn, password) as connection:
        return bool(connection.bound)


def _find(reader: Connection, login: str) -> Entry | None:
    names = [one.strip() for one in settings.LDAP_NAME.split(",") if one.strip()]
    wanted = {"mail", settings.LDAP_GROUP_ATTRIBUTE, *names} - {""}
    query = settings.LDAP_FILTER.replace("{login}", escape_filter_chars(login))
    found = _search(reader, settings.LDAP_BASE, query, wanted)
    if len(found) != 1:
        return None
    attributes = {name.lower(): _texts(value) for name, value in found[0]["attributes"].items()}
    mails = [one.strip().lower() for one in attributes.get("mail", [])]
    email = login.lower() if login.lower() in mails else next(iter(mails), "")
    name = next((one for key in names for one in attributes.get(key.lower(), []) if one), "")
    groups = _group_names(attributes.get(settings.LDAP_GROUP_ATTRIBUTE.lower(), []))
    return Entry(str(found[0]["dn"]), email, name, groups)


def _find_groups(reader: Connection, dn: str) -> list[str]:
    query = settings.LDAP_GROUP_FILTER.replace("{dn}", escape_filter_chars(dn))
    return [str(one["dn"]) for one in _search(reader, settings.LDAP_GROUP_BASE, query, {"cn"})]


def _search(reader: Connection, base: str, query: str, attributes: set[str]) -> list[dict[str, Any]]:
    reader.search(
        base, query, search_scope=SUBTREE, attributes=sorted(attributes), size_limit=MOST_GROUPS, time_limit=SECONDS
    )
    if reader.result["description"] not in ("success", "noSuchObject", "sizeLimitExceeded"):
        raise DirectoryError(str(reader.result["description"]))
    return [one for one in reader.response or [] if one.get("type") == "searchResEntry"]


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in values if one]


def _group_names(dns: Sequence[str]) -> frozenset[str]:
    found = set(dns)
    for dn in dns:
        try:
            found.add(parse_dn(dn)[0][1])
        except LDAPException:
            continue
    return frozenset(found)
