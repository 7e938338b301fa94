"""Which addresses a feed may have."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.network import is_allowed

FORBIDDEN = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255"),
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1"),
    *("192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1"),
    *("240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1"),
    *("2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1"),
    *("fec0::1", "ff02::1", "ff0e::1"),
]
PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_that_are_not_public_are_forbidden(address):
    assert not is_allowed(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address):
    assert is_allowed(ip_address(address))


def test_an_opened_network_is_allowed_in_each_of_its_forms_and_nothing_beyond():
    opened = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd12::1"):
        assert is_allowed(ip_address(address), opened)
    for address in ("127.0.0.1", "fe80::1", "192.168.1.1"):
        assert not is_allowed(ip_address(address), opened)


@given(st.ip_addresses(v=4))
def test_disguises_of_an_ipv4_address_are_judged_like_the_address(address: IPv4Address):
    plain = is_allowed(address)
    assert is_allowed(IPv6Address(f"::ffff:{address}")) == plain
    assert is_allowed(IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))) == plain


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_allowed(address):
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_allowed(address) or getattr(address, "ipv4_mapped", None)
