"""Addresses that tools may fetch from: public ones only, in whatever way the others are written."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from workers.providers.address_policy import ENDPOINTS, PUBLIC, AddressPolicy, literal_address

INTERNAL = [
    "127.0.0.1", "127.8.9.1", "10.0.0.7", "172.16.3.4", "192.168.1.2", "100.64.0.1", "169.254.169.254", "0.0.0.0",
    "0.1.2.3", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1%eth0", "fc00::1", "fd12:3456::7", "fec0::1", "ff02::1", "2001:db8::1",
    "2001:2::1", "3fff::1", "100::1", "::ffff:127.0.0.1", "::ffff:10.0.0.7", "::ffff:169.254.169.254", "::10.0.0.7",
    "::127.0.0.1", "2002:0a00:0007::1", "2002:7f00:0001::1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.7",
    "64:ff9b:1::10.0.0.7", "nonsense", "", "1.2.3.4.5",
]  # fmt: skip


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_addresses_are_refused(address: str) -> None:
    assert not PUBLIC.may_connect(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_public_addresses_are_not(address: str) -> None:
    assert PUBLIC.may_connect(address)


def test_listed_networks_are_allowed_but_for_credentials_of_clouds() -> None:
    policy = AddressPolicy(public_only=True, allowed=(ip_network("10.1.0.0/16"), ip_network("169.254.0.0/16")))
    assert policy.may_connect("10.1.2.3")
    assert policy.may_connect("::ffff:10.1.2.3")
    assert not policy.may_connect("10.2.0.1")
    assert not policy.may_connect("169.254.169.254")


@pytest.mark.parametrize(
    ("host", "address"),
    [("2130706433", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("0177.0.0.1", "127.0.0.1"), ("127.1", "127.0.0.1"),
     ("0x7f.1", "127.0.0.1"), ("2852039166", "169.254.169.254"), ("127.0.0.1.", "127.0.0.1"), ("[::1]", "::1"),
     ("::ffff:7f00:1", "::ffff:127.0.0.1")],
)  # fmt: skip
def test_unusual_ways_to_write_an_address(host: str, address: str) -> None:
    found = literal_address(host)
    assert found is not None
    assert str(getattr(found, "ipv4_mapped", None) or found) == address.removeprefix("::ffff:")
    assert not PUBLIC.may_name(host)


@pytest.mark.parametrize("host", ["example.org", "7-eleven.example", "1e100.net", "localhost"])
def test_names_are_judged_when_they_are_resolved(host: str) -> None:
    assert literal_address(host) is None
    assert PUBLIC.may_name(host)


def test_staff_may_name_private_networks_and_not_the_credentials_of_clouds() -> None:
    assert ENDPOINTS.may_connect("10.0.0.7")
    assert not ENDPOINTS.may_name("2852039166")
