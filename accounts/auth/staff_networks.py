"""From which networks staff may use the admin (STAFF_NETWORKS)."""

from __future__ import annotations

import functools
import ipaddress

from django.conf import settings
from django.http import HttpRequest

from accounts.auth.adapter import client_ip


def is_allowed(request: HttpRequest) -> bool:
    """Whether the admin answers the address that a request comes from. An unknown one only where all are allowed."""
    allowed = _parsed(tuple(settings.STAFF_NETWORKS))
    if not allowed:
        return True
    try:
        address = ipaddress.ip_address((client_ip(request) or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in allowed)


@functools.lru_cache(maxsize=4)
def _parsed(networks: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(map(ipaddress.ip_network, networks))
