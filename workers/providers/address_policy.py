"""Which IP addresses a connection may be made to. Pure.

The address that counts is the one that the socket is given, after the name was resolved: see `guarded.py`. So a name
that is resolved anew to another address, and an address that is written in an unusual way, gain nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Where cloud providers serve credentials to the machine itself, and what no connection can be made to.
NEVER: Final[tuple[Network, ...]] = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # link-local: AWS, Azure, Google Cloud, DigitalOcean, Oracle, OpenStack
            "fe80::/10",
            "fd00:ec2::/32",  # AWS over IPv6: metadata (::254), container credentials (::23), DNS, time
            "100.100.100.200/32",  # Alibaba Cloud
            "168.63.129.16/32",  # Azure's host
            "192.0.0.192/32",  # Oracle Cloud, older
            "0.0.0.0/32",
            "::/128",
            "224.0.0.0/4",
            "ff00::/8",
        ),
    )
)
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out for hosts
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")  # NAT64: how a network with IPv6 only reaches IPv4
_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    map(
        ipaddress.ip_network,
        (
            # Python's `is_global` differs between versions about some of these.
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
            "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
            "2001::/23", "2001:db8::/32", "3fff::/20",
        ),
    )
)  # fmt: skip
_LAST_32_BITS: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))


class RefusedAddressError(OSError):
    """A connection to an address that may not be used."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """`public_only`: private networks, loopback and the like are refused, but for those in `allowed`.

    The addresses of `NEVER` are always refused.
    """

    public_only: bool = False
    allowed: tuple[Network, ...] = ()

    def may_connect(self, address: str) -> bool:
        """Whether a connection to an IP address (as a resolver returns it, perhaps with a zone) is allowed."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        ways = (found, *_embedded(found))
        if any(_is_in(one, NEVER) for one in ways):
            return False
        return not self.public_only or all(_is_in(one, self.allowed) or _is_public(one) for one in ways)

    def may_name(self, host: str) -> bool:
        """Whether an address may have this host, as far as it says before it is resolved. A name may."""
        literal = literal_address(host)
        return literal is None or self.may_connect(str(literal))


ENDPOINTS: Final = AddressPolicy()
"""For what staff set up: models run in private networks."""

PUBLIC: Final = AddressPolicy(public_only=True)
"""For addresses that people, models and pages name."""


def literal_address(host: str) -> Address | None:
    """The IP address that a host is, in any way that a resolver understands: also 2130706433, 0x7f.1 and 0177.0.0.1.

    None: it is a name.
    """
    host = host.strip("[]").partition("%")[0].rstrip(".")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host[:1].isdigit() else None
    except (OSError, ValueError):
        return None


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _is_public(address: Address) -> bool:
    if address in _TRANSLATED:
        return True  # the IPv4 address in it is judged beside it
    if isinstance(address, ipaddress.IPv6Address) and (address not in _GLOBAL_6):
        return address.ipv4_mapped is not None
    return not _is_in(address, _NOT_PUBLIC) and (address.is_global or address in _GLOBAL_6)


def _embedded(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that packets to an IPv6 address may end at, by translation or in a tunnel."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    # NAT64, RFC 6052 (well-known prefix) and RFC 8215 (local prefix), and "IPv4-compatible" ::a.b.c.d
    if any(address in network for network in _LAST_32_BITS):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]
