"""Addresses at which clouds serve credentials are refused in every way to write them; private networks are not."""

from __future__ import annotations

import ipaddress

import pytest

from workers.providers.url_policy import may_connect

METADATA = ipaddress.IPv4Address("169.254.169.254")
TEREDO = ipaddress.IPv6Address(0x20010000 << 96 | 0xC0000201 << 64 | (~int(METADATA) & 0xFFFFFFFF))


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "::169.254.169.254",
     "64:ff9b::169.254.169.254", "64:ff9b:1::169.254.169.254", str(TEREDO), "fd00:ec2::254", "fd00:ec2::23",
     "fe80::1%eth0",
     "100.100.100.200", "64:ff9b::100.100.100.200", "::", "0.0.0.0", "ff02::1", "nonsense"],
)  # fmt: skip
def test_refused(address: str) -> None:
    assert not may_connect(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.7", "192.168.1.2", "fd12:3456::7", "2606:4700::1111", "64:ff9b::10.0.0.7"]
)
def test_allowed(address: str) -> None:
    assert may_connect(address)
