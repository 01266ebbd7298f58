"""Which addresses an endpoint of the admin may have.

Staff may name machines of the private network: models run there. What they may not name are the addresses at which
clouds hand secrets to whoever asks from inside (link-local ones and a few more), so that a page of the admin is no way
to the machine's own credentials.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

_REFUSED: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # link-local: AWS, Azure, Google Cloud, DigitalOcean, Oracle, OpenStack
            "fe80::/10",
            "fd00:ec2::254/128",  # AWS over IPv6
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
REFUSED: Final = "This address is not one that a model may be asked at: clouds keep their machines' secrets there."


class RefusedAddressError(OSError):
    """A connection to an address that is none for models."""


def may_connect(address: str) -> bool:
    """Whether an IP address (as a resolver gives it, maybe with a zone) may be asked."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return not any(found.version == network.version and found in network for network in _REFUSED)


def check_address(url: str) -> str:
    """The address without what is never part of one. Raises `ValueError` with a sentence; it never repeats the value,
    in which there may be a password. Names are looked up when they are used, not here.
    """
    parts = _split(url.strip())
    if parts.scheme not in ("http", "https"):
        raise ValueError("An address begins with http:// or https://.")
    if not parts.hostname or parts.port == 0 or any(character.isspace() for character in parts.netloc):
        raise ValueError("This is not an address such as https://api.openai.com/v1.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("The address may hold no name or password: pages show it. There is a field for the key.")
    if parts.query or parts.fragment:
        raise ValueError("The address may have no ? or #: paths such as /chat/completions are put behind it.")
    if parts.path.rstrip("/").endswith(("/chat/completions", "/models")):
        raise ValueError("Only the beginning that all paths share, which often ends in /v1.")
    host = parts.hostname
    looks_numeric = host.replace(".", "").isdigit() or ":" in host
    if looks_numeric and not may_connect(host):
        raise ValueError(REFUSED)
    return parts._replace(path=parts.path.rstrip("/")).geturl()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        raise ValueError("This is not an address such as https://api.openai.com/v1.") from None
    return parts
