"""The truth is stable, the same alone and in bulk, and as frequent as its shares say."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from ipaddress import IPv4Address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.simnet.truth import LOOPBACK_SHARES, TLS_SERVICES, Kind, Shares, Truth

TRUTH = Truth(1, ("10.0.0.0/16",), (22, 80, 443))


def test_golden_services() -> None:
    # written down once: a change here changes every recorded measurement
    assert [(ip, port, kind) for ip, port, kind in list(TRUTH.services())[:4]] == [
        ("10.0.0.4", 22, Kind.SSH),
        ("10.0.0.8", 22, Kind.GARBAGE),
        ("10.0.0.14", 22, Kind.GARBAGE),
        ("10.0.0.25", 22, Kind.SSH),
    ]


def test_golden_counts() -> None:
    assert Counter(kind for _, _, kind in TRUTH.services())[Kind.HTTP] == 2715
    assert sum(1 for _ in TRUTH.services()) == 9854
    assert TRUTH.detail("10.0.0.4", 22) == 0xB1FE1226
    assert int(TRUTH.limits(TRUTH.addresses(), 80).sum()) == 52
    assert int(TRUTH.mute(TRUTH.addresses()).sum()) == 16491


@given(seed=st.integers(), address=st.integers(0, 2**32 - 1), port=st.integers(0, 65535))
def test_alone_and_in_bulk_are_the_same(seed: int, address: int, port: int) -> None:
    truth = Truth(seed, ("0.0.0.0/0",), (port,), Shares(open=0.5, filtered=0.2, rejected=0.2, limited=0.5))
    one = np.array([address], dtype=np.uint32)
    assert truth.states(one, port)[0] == truth.state(address, port) == truth.state(str(IPv4Address(address)), port)
    assert bool(truth.limits(one, port)[0]) == truth.limited(address, port)
    assert 0 <= truth.detail(address, port) < 2**32


def test_another_process_says_the_same() -> None:
    code = (
        "from stages.simnet.truth import Truth; import hashlib\n"
        "t = Truth(1, ('10.0.0.0/16',), (22, 80, 443)); a = t.addresses()\n"
        "print(hashlib.sha256(b''.join(t.states(a, p).tobytes() for p in t.ports)).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_seeds_have_nothing_in_common() -> None:
    addresses = TRUTH.addresses()
    other = Truth(2, ("10.0.0.0/16",), (22, 80, 443))
    both = (TRUTH.states(addresses, 80) >= Kind.HTTP) & (other.states(addresses, 80) >= Kind.HTTP)
    assert both.sum() == pytest.approx(65536 * 0.05**2, rel=0.3)


def test_shares_are_kept() -> None:
    shares = Shares(open=0.3, filtered=0.2, rejected=0.4, limited=0.5, mute=0.1)
    truth = Truth(9, ("10.0.0.0/16",), (443,), shares)
    kinds = truth.states(truth.addresses(), 443)
    assert (kinds >= Kind.HTTP).mean() == pytest.approx(0.3, abs=0.01)
    assert (kinds == Kind.FILTERED).mean() == pytest.approx(0.2, abs=0.01)
    for kind in (Kind.NET_UNREACHABLE, Kind.HOST_UNREACHABLE, Kind.PORT_UNREACHABLE, Kind.ADMIN_PROHIBITED):
        assert (kinds == kind).mean() == pytest.approx(0.1, abs=0.01)
    assert truth.limits(truth.addresses(), 443).mean() == pytest.approx(0.15, abs=0.01)
    assert truth.mute(truth.addresses()).mean() == pytest.approx(0.1, abs=0.01)
    opened = kinds[kinds >= Kind.HTTP]
    for kind, weight in TLS_SERVICES:
        assert (opened == kind).mean() == pytest.approx(weight, abs=0.02)


def test_loopback_is_open_or_closed() -> None:
    truth = Truth(1, ("127.77.0.0/20",), (8080,), LOOPBACK_SHARES)
    kinds = set(truth.states(truth.addresses(), 8080).tolist())
    assert all(kind == Kind.CLOSED or Kind(kind).open for kind in kinds)
    assert not truth.limits(truth.addresses(), 8080).any()


def test_outside_everything_is_closed() -> None:
    assert TRUTH.state("10.1.0.0", 80) is Kind.CLOSED
    assert TRUTH.state("10.0.0.4", 23) is Kind.CLOSED
    assert not TRUTH.states(TRUTH.addresses(), 23).any()
    assert not TRUTH.states(np.array([0x0A010000], dtype=np.uint32), 80).any()
    assert not TRUTH.limited("10.1.0.0", 80)


def test_overlapping_targets_count_once() -> None:
    truth = Truth(1, ("10.0.0.128/25", "10.0.0.0/24", "10.0.1.0/24", "10.0.3.0/32"), (80,))
    assert len(truth.addresses()) == 513
    assert len(set(truth.addresses().tolist())) == 513
    assert truth.covers(0x0A000300)
    assert not truth.covers(0x0A000200)


def test_no_targets() -> None:
    truth = Truth(1, (), (80,))
    assert list(truth.services()) == []
    assert truth.state("10.0.0.1", 80) is Kind.CLOSED


@pytest.mark.parametrize(
    ("shares", "problem"),
    [({"open": 1.1}, "open"), ({"mute": -0.1}, "mute"), ({"open": 0.6, "filtered": 0.5}, "more than 1")],
)
def test_bad_shares(shares: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Shares(**shares)


def test_bad_targets() -> None:
    with pytest.raises(ValueError, match="host bits"):
        Truth(1, ("10.0.0.1/16",), (80,))


def test_kinds() -> None:
    assert [kind for kind in Kind if kind.tls] == [Kind.TLS12, Kind.TLS13, Kind.TLS_UNPARSABLE]
    assert not Kind.ADMIN_PROHIBITED.open
    assert Kind.HTTP.open
