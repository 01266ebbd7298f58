"""Which addresses an endpoint of the admin may have.

Staff may enter machines of the private network, because models run there. They may not enter the addresses at which
cloud providers serve credentials to the machine itself (link-local addresses and a few more), so that the admin gives
no access to these credentials.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl

from accounts.lib.urls import is_http, split_url
from workers.providers.address_policy import ENDPOINTS
from workers.providers.address_policy import RefusedAddressError as RefusedAddressError

REFUSED: Final = "This address cannot be used for a model: cloud providers serve machine credentials there."
SECRET_PARAMETER: Final = re.compile("key|token|secret|signature|password", re.IGNORECASE)


def endpoint_name(url: str) -> str:
    """The host of an address, with its port where that is not the scheme's: the name of the server that answers.

    Two servers on one machine have two names, so they have prices and counting factors of their own.
    """
    try:
        parts = split_url(url)
    except ValueError:
        return ""
    host = parts.hostname or ""
    if not host or parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)):
        return host
    return f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"


def may_connect(address: str) -> bool:
    """Whether an endpoint may be at an IP address (as a resolver returns it, perhaps with a zone)."""
    return ENDPOINTS.may_connect(address)


def check_address(url: str) -> str:
    """The normalized address. Raises `ValueError` with a sentence for the user; it does not repeat the value, which may
    hold a password. A query stays: it goes with every request. Host names are resolved and checked when a connection
    is made, not here.
    """
    parts = _split(url.strip())
    if parts.scheme not in ("http", "https"):
        raise ValueError("The address must begin with http:// or https://.")
    if not is_http(parts) or any(character.isspace() for character in parts.netloc):
        raise ValueError("Enter an address such as https://api.openai.com/v1.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("The address must not contain a user name or password. Use the field for the API key.")
    if parts.fragment:
        raise ValueError("The address must not contain #.")
    if any(SECRET_PARAMETER.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError("The address must not contain a key or token. Use the field for the API key.")
    if parts.path.rstrip("/").endswith(("/chat/completions", "/responses", "/messages", "/api/chat", "/models")):
        raise ValueError("Enter only the part that all paths share; it often ends in /v1.")
    host = parts.hostname or ""
    looks_numeric = host.replace(".", "").isdigit() or ":" in host
    if not ENDPOINTS.may_name(host) or (looks_numeric and not may_connect(host)):
        raise ValueError(REFUSED)
    return parts._replace(path=parts.path.rstrip("/")).geturl()


def _split(url: str) -> SplitResult:
    try:
        return split_url(url)
    except ValueError:
        raise ValueError("Enter an address such as https://api.openai.com/v1.") from None
