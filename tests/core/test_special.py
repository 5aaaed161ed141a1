"""The special-purpose ranges: what is blocked, what is reachable inside of it, what a target lifts."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.netset import parse_entry
from stages.core.special import REGISTRY, Special, default_blocks, is_special, lifted_by


def test_registry_is_well_formed():
    networks = [special.network for special in REGISTRY]
    assert len(set(networks)) == len(networks)
    for special in REGISTRY:
        assert str(special.span) == str(parse_entry(special.network))
        assert str(ip_network(special.network)) == special.network
        assert special.rfc.startswith("RFC ")
    with pytest.raises(ValueError, match="is a name"):
        Special("example.org", "", "", False).span  # noqa: B018


@pytest.mark.parametrize(
    "ip",
    [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.8",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "100:0:0:1::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2001:db8::1",
        "2002::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fe80::1",
        "ff02::1",
    ],
)
def test_blocked(ip):
    assert ip in default_blocks()


@pytest.mark.parametrize(
    "ip",
    [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.0.9",
        "192.0.0.10",
        "192.0.1.0",
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "64:ff9b::808:808",
        "2001:1::1",
        "2001:1::2",
        "2001:1::3",
        "2001:3::1",
        "2001:4:112::1",
        "2001:20::1",
        "2001:30::1",
        "2001:200::1",
        "2620:4f:8000::1",
        "2a00:1450::1",
    ],
)
def test_reachable(ip):
    assert ip not in default_blocks()
    assert lifted_by(parse_entry(ip)) is None


@pytest.mark.parametrize(
    ("target", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.0.0/16", "10.0.0.0/8"),
        ("10.255.255.255", "10.0.0.0/8"),
        ("10.0.0.0-10.0.0.9", "10.0.0.0/8"),
        ("9.0.0.0-10.0.0.9", None),
        ("0.0.0.0/0", None),
        ("8.0.0.0/5", None),
        ("10.0.0.0/7", None),
        ("198.18.0.0/15", "198.18.0.0/15"),
        ("192.0.0.1", "192.0.0.0/29"),
        ("192.0.0.0/24", "192.0.0.0/24"),
        ("255.255.255.255", "255.255.255.255/32"),
        ("240.0.0.0/4", "240.0.0.0/4"),
        ("fd00::/8", "fc00::/7"),
        ("::/0", None),
        ("8.8.8.8", None),
    ],
)
def test_lifted_by(target, network):
    assert lifted_by(parse_entry(target)) == network


def test_lifting_frees_that_range_and_no_other():
    free = default_blocks(("10.0.0.0/8",))
    assert "10.1.2.3" not in free
    assert "192.168.0.1" in free
    assert default_blocks().minus(free).size == 2**24


def test_nested_ranges_stay_blocked():
    free = default_blocks(("240.0.0.0/4", "0.0.0.0/8"))
    assert "240.0.0.1" not in free
    assert "255.255.255.255" in free
    assert "0.0.0.1" not in free
    assert "0.0.0.0" in free


def test_the_narrow_is_lifted_inside_the_wide():
    free = default_blocks(("192.0.0.0/29",))
    assert "192.0.0.1" not in free
    assert "192.0.0.8" in free


def test_is_special():
    assert is_special("10.0.0.0/8")
    assert not is_special("10.0.0.0/9")


@given(st.ip_addresses())
def test_lifting_unblocks_exactly_what_is_blocked(ip):
    """A single address is blocked by default if and only if there is a range that it lifts; lifted, it is free."""
    lifted = lifted_by(parse_entry(str(ip)))
    assert (str(ip) in default_blocks()) == (lifted is not None)
    if lifted is not None:
        assert str(ip) not in default_blocks((lifted,))
        assert ip_address(ip) in ip_network(lifted)
