"""Whom to leave alone: what wins over what, against a model that asks the parts one after the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.lists import Lists
from stages.core.netset import NetSet, parse_entry
from stages.core.policy import Policy
from stages.core.settings import ListSettings
from stages.core.special import default_blocks


def netset(*entries):
    return NetSet.parse(entries, "test")


def spans(*entries):
    return [parse_entry(entry) for entry in entries]


SETTINGS = ListSettings()


def test_default():
    policy = Policy()
    for ip in ("10.0.0.1", "127.0.0.1", "255.255.255.255", "::1", "fe80::1", "fe80::1%eth0", "::ffff:10.0.0.1"):
        assert policy.blocked(ip), ip
    for ip in ("8.8.8.8", "2a00::1", "64:ff9b::808:808"):
        assert not policy.blocked(ip), ip


def test_mapped_and_translated_addresses_follow_ipv4():
    policy = Policy(Lists(block=netset("8.8.8.0/24")))
    for ip in ("8.8.8.8", "::ffff:8.8.8.8", "::ffff:808:808", "64:ff9b::808:808"):
        assert policy.blocked(ip), ip
    assert not policy.blocked("::ffff:8.8.4.4")
    assert not policy.blocked("64:ff9b::808:404")


def test_explicit_target_lifts_its_range_only():
    policy = Policy.for_scan(Lists(), SETTINGS, spans("10.0.0.0/8"))
    assert policy.lifted == ("10.0.0.0/8",)
    assert not policy.blocked("10.9.9.9")
    assert policy.blocked("192.168.0.1")
    policy = Policy.for_scan(Lists(), SETTINGS, spans("0.0.0.0/0"))
    assert policy.lifted == ()
    assert policy.blocked("10.9.9.9")


def test_allowlist_entries_are_explicit():
    lists = Lists(allow=netset("10.0.0.0/8", "9.0.0.0/8"), lifts=frozenset({"10.0.0.0/8"}))
    policy = Policy.for_scan(lists, SETTINGS, [])
    assert not policy.blocked("10.0.0.1")
    assert not policy.blocked("9.0.0.1")
    assert policy.blocked("8.0.0.1")
    assert policy.blocked("2a00::1")


def test_blocklist_always_wins():
    lists = Lists(block=netset("10.1.0.0/16"), allow=netset("10.0.0.0/8"), lifts=frozenset({"10.0.0.0/8"}))
    for policy in (
        Policy.for_scan(lists, SETTINGS, spans("10.1.2.3")),
        Policy.for_scan(lists, ListSettings(default_blocklist=False), spans("10.1.2.3")),
        Policy.for_records(lists, SETTINGS),
    ):
        assert policy.blocked("10.1.2.3")
        assert not policy.blocked("10.2.2.3")


def test_no_default_blocklist_lifts_all():
    policy = Policy.for_scan(Lists(), ListSettings(default_blocklist=False), spans("0.0.0.0/0"))
    assert not policy.blocked("10.0.0.1")
    assert not policy.blocked("255.255.255.255")


def test_records_are_explicit_unless_this_worker_forbids_it():
    assert not Policy.for_records(Lists(), SETTINGS).blocked("10.0.0.1")
    assert not Policy.for_records(Lists(), SETTINGS).blocked("::1")
    assert Policy.for_records(Lists(), ListSettings(lift=False)).blocked("10.0.0.1")
    assert Policy.for_scan(Lists(), ListSettings(lift=False), spans("10.0.0.0/8")).blocked("10.0.0.1")


def test_unknown_ranges_are_not_lifted():
    assert Policy(lifted=["10.0.0.0/9", "nonsense", "10.0.0.0/8"]).lifted == ("10.0.0.0/8",)


def test_update_swaps_the_lists():
    policy = Policy(Lists(block=netset("1.0.0.0/8")))
    assert policy.blocked("1.1.1.1")
    before = policy.generation
    policy.update(Lists(block=netset("2.0.0.0/8")))
    assert not policy.blocked("1.1.1.1")
    assert policy.blocked("2.1.1.1")
    assert policy.blocked("10.0.0.1")
    assert policy.generation == before + 1


@pytest.mark.parametrize("bad", ["", "example.org", "1.2.3", "1.2.3.4.5", "::g"])
def test_no_address(bad):
    with pytest.raises(ValueError):
        Policy().blocked(bad)


def test_ranges_and_counts_for_the_scanner():
    lists = Lists(block=netset("10.0.0.0/30"), allow=netset("10.0.0.0/24", "11.0.0.0/8"))
    policy = Policy.for_scan(lists, SETTINGS, spans("10.0.0.0/8"))
    targets = netset("10.0.0.0/29", "12.0.0.0/31", "192.168.0.0/32", "2001:db8::1")
    assert policy.allowed_ranges_v4(targets) == [((10 << 24) + 4, (10 << 24) + 7)]
    assert policy.allowed(targets).size == 4
    excluded = policy.excluded(targets)
    assert (excluded.blocklist, excluded.special, excluded.allowlist) == (4, 2, 2)
    assert excluded.total == 8
    assert policy.forbidden_v4.size == 2**32 - (2**8 - 4) - 2**24


def test_everything_blocked():
    assert Policy(Lists(block=netset("0.0.0.0/0"))).allowed_ranges_v4(netset("8.0.0.0/8")) == []


addresses = st.ip_addresses().map(str) | st.sampled_from(["10.0.0.1", "1.2.3.4", "255.255.255.255", "2001:db8::1"])
entries = st.lists(st.sampled_from(["0.0.0.0/1", "10.0.0.0/8", "1.2.0.0/16", "::/1", "2001:db8::/32", "9.0.0.0/7"]))
ranges = st.sets(st.sampled_from(["10.0.0.0/8", "2001:db8::/32", "240.0.0.0/4"]))


@given(addresses, entries, st.none() | entries, ranges, st.booleans())
def test_against_the_definition(ip, block, allow, lifted, special):
    lists = Lists(netset(*block), None if allow is None else netset(*allow))
    policy = Policy(lists, lifted=lifted, special=special)
    expected = (
        ip in lists.block
        or (special and ip in default_blocks(lifted))
        or (lists.allow is not None and ip not in lists.allow)
    )
    if not ip.startswith(("::ffff:", "64:ff9b::")):
        assert policy.blocked(ip) == expected
    assert bool(policy.allowed(netset(ip)).size) == (not expected)
    assert policy.excluded(netset(ip)).total == expected


def test_whom_an_order_names_is_left_alone_besides_and_counted_as_on_a_blocklist():
    policy = Policy(Lists(block=netset("9.0.0.0/8")))
    policy.leave_alone(netset("8.8.8.0/24"))
    generation = policy.generation
    policy.leave_alone(netset("8.8.8.0/24"))
    assert policy.generation == generation, "nothing has changed"
    assert policy.excluded(netset("8.8.8.0/24")).blocklist == 256
    policy.update(Lists())
    assert policy.blocked("8.8.8.8")
    assert not policy.blocked("9.9.9.9")
    policy.leave_alone(netset())
    assert not policy.blocked("8.8.8.8")
