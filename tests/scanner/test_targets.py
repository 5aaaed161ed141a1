from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ListError, UsageError
from stages.core.lists import Lists, read_lists
from stages.core.netset import NetSet
from stages.core.ranges import Ranges
from stages.core.settings import ListSettings
from stages.scanner.iplist import IpList
from stages.scanner.targets import Ipv6Space, Targets, choose_listed, choose_targets, parse_targets


def names(name: str) -> list[str]:
    return {"host.example": ["10.5.0.1", "2001:db8::5"]}[name]


def targets(*texts: str, block: str = "", allow: str | None = None, default: bool = True) -> Targets:
    lists = Lists(NetSet.parse(block.split(), "b"), None if allow is None else NetSet.parse(allow.split(), "a"))
    return choose_targets(texts, lists, ListSettings(default_blocklist=default), (80, 443), names)


def v4(found: Targets) -> list[str]:
    return [f"{IPv4Address(first)}-{IPv4Address(last)}" for first, last in found.v4]


def test_networks_ranges_addresses_and_names() -> None:
    found = targets("10.0.0.0/30", "10.0.0.4-10.0.0.5", "10.9.9.9", "host.example")
    assert v4(found) == ["10.0.0.0-10.0.0.5", "10.5.0.1-10.5.0.1", "10.9.9.9-10.9.9.9"]
    assert found.policy.lifted == ("10.0.0.0/8",)
    assert found.v6.addresses == 0  # the name lifts nothing, and 2001:db8::/32 is for documentation
    assert found.excluded.special == 1
    assert found.addresses == 8


def test_no_target_is_the_whole_ipv4_space_and_lifts_nothing() -> None:
    found = targets()
    assert found.written == ("0.0.0.0/0",)
    assert found.policy.lifted == ()
    assert not any(first <= 10 << 24 <= last for first, last in found.v4)
    assert 3_600_000_000 < found.addresses < 3_800_000_000


def test_the_blocklist_wins() -> None:
    found = targets("10.0.0.0/29", block="10.0.0.2/31")
    assert v4(found) == ["10.0.0.0-10.0.0.1", "10.0.0.4-10.0.0.7"]
    assert found.excluded.blocklist == 2


def test_the_allowlist_is_the_targets_or_bounds_them() -> None:
    assert v4(targets(allow="9.0.0.0/30")) == ["9.0.0.0-9.0.0.3"]
    found = targets("9.0.0.0/28", allow="9.0.0.0/30 9.0.1.0/24")
    assert v4(found) == ["9.0.0.0-9.0.0.3"]
    assert found.excluded.allowlist == 12


@pytest.mark.parametrize(
    ("texts", "more", "message"),
    [
        (["10.0.0.0/24"], {"block": "10.0.0.0/8"}, "nothing is left to scan: of 256 addresses 256 on the blocklist"),
        (["9.0.0.0/24"], {"allow": "8.0.0.0/8"}, "256 on no allowlist"),
        (["0.0.0.0-0.0.0.9", "::2-::3"], {}, None),
        (["10.0.0.0/33"], {}, "TARGET: '10.0.0.0/33': a prefix length is a number from 0 to 32"),
        (["10.0.0.9-10.0.0.1"], {}, "inverted range"),
        (["10.0.0.256"], {}, "TARGET: '10.0.0.256': not an IPv4 address"),
        (["# nothing"], {}, "not a target"),
        (["2600::/64"], {"default": False}, "18446744073709551616 IPv6 addresses are more than can be probed"),
    ],
)
def test_what_cannot_be_scanned(texts: list[str], more: dict[str, str], message: str | None) -> None:
    if message is None:
        assert targets(*texts).addresses
        return
    with pytest.raises(UsageError, match=message):
        targets(*texts, **more)  # type: ignore[arg-type]


def test_a_name_that_nobody_knows() -> None:
    def nobody(name: str) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(UsageError, match=r"'nowhere.example': a host name that cannot be resolved"):
        parse_targets(["nowhere.example"], nobody)


def test_list_files(tmp_path: Path) -> None:
    block = tmp_path / "block"
    block.write_text("10.0.0.0/31 # ours\n\n10.0.0.300/32\n")
    with pytest.raises(ListError, match=f"{block}:3: '10.0.0.300/32': not an IPv4 address"):
        read_lists(ListSettings(blocklist_file=(str(block),)), names)
    with pytest.raises(UsageError, match="No such file"):
        read_lists(ListSettings(blocklist_file=(str(tmp_path / "none"),)), names)
    block.write_text("# nothing\n")
    with pytest.raises(UsageError, match="the allowlist is empty"):
        read_lists(ListSettings(allowlist_file=(str(block),)), names)


def test_ipv6_targets_are_indexed_with_the_port_fastest() -> None:
    found = targets("fd00::1-fd00::2", "fd00::9")
    assert found.v6.size == 6
    assert [found.v6.at(i) for i in range(6)] == [
        ("fd00::1", 80), ("fd00::1", 443), ("fd00::2", 80), ("fd00::2", 443), ("fd00::9", 80), ("fd00::9", 443),
    ]  # fmt: skip
    assert found.policy.lifted == ("fc00::/7",)


@given(
    st.lists(st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 50)), min_size=1, max_size=8),
    st.lists(st.integers(0, 65535), min_size=1, max_size=3, unique=True),
)
def test_an_ipv6_space_has_every_pair_once(spans: list[tuple[int, int]], ports: list[int]) -> None:
    ranges = Ranges.of((first, min(first + more, 2**128 - 1)) for first, more in spans)
    space = Ipv6Space(ranges, ports)
    pairs = [space.at(i) for i in range(space.size)]
    assert len(set(pairs)) == len(pairs) == ranges.size * len(ports)
    assert all(int(IPv6Address(host)) in ranges for host, _ in pairs)


ADDRESSES = st.lists(st.one_of(
    st.integers(0, 2**32 - 1), st.integers(10 << 24, (10 << 24) + 40), st.sampled_from([0, 0x7F000001, 0xFFFFFFFF])
), min_size=1, max_size=60, unique=True)  # fmt: skip


@given(
    ADDRESSES, st.sampled_from(["", "10.0.0.0/28", "0.0.0.0/1"]), st.sampled_from([None, "10.0.0.0/27 9.0.0.0/8"]),
    st.booleans(),
)  # fmt: skip
def test_an_exact_list_is_treated_as_the_same_targets_typed(
    addresses: list[int], block: str, allow: str | None, default: bool
) -> None:
    lists = Lists(NetSet.parse(block.split(), "b"), None if allow is None else NetSet.parse(allow.split(), "a"))
    settings = ListSettings(default_blocklist=default)
    found = IpList("f", np.array(sorted(addresses), np.uint32), Ranges((1,), (1,)))
    texts = [str(IPv4Address(address)) for address in addresses] + ["::1"]
    problem = ""
    try:
        typed = choose_targets(texts, lists, settings, (80, 443), names)
    except UsageError as error:
        problem = error.problem
    if problem:
        with pytest.raises(UsageError, match=re.escape(problem)):
            choose_listed(found, lists, settings, (80, 443))
        return
    listed = choose_listed(found, lists, settings, (80, 443))
    assert listed.listed is not None
    assert listed.listed.tolist() == [a for first, last in typed.v4 for a in range(first, last + 1)]
    assert (listed.addresses, listed.excluded, listed.policy.lifted) == (
        typed.addresses, typed.excluded, typed.policy.lifted
    )  # fmt: skip
    assert list(listed.v6.ranges) == list(typed.v6.ranges)
    if listed.listed.size:
        assert listed.first_v4 == typed.first_v4
        space = listed.space((80, 443))
        index = np.arange(space.size, dtype=np.uint64)
        for ours, theirs in zip(space.at(index), typed.space((80, 443)).at(index), strict=True):
            assert (ours == theirs).all()
