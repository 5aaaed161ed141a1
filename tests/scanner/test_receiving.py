"""Several receive threads: each packet is seen by one of them, and all of them together see what one would."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from stages.scanner.receiving import Receivers
from tests.servers.veth import Veth, veth

BASE = 10 << 24
TARGETS = 4096


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    with (
        veth() as made,
        made.program(made.far_pid, sys.executable, "-m", "tests.servers.listener", "80", ready="ready"),
    ):
        yield made


def scan(pair: Veth, threads: int, **plan: object) -> dict[str, Any]:
    asked = {
        "ranges": [[BASE, BASE + TARGETS - 1]], "ports": [80, 81], "seed": 3,
        "plan": {"rate": 40_000, "cooldown": 0.5, "receive_threads": threads, **plan},
    }  # fmt: skip
    told: dict[str, Any] = json.loads(
        pair.near(sys.executable, "-m", "tests.servers.scan_once", input=json.dumps(asked)).stdout
    )
    return told


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_each_answer_is_seen_once(pair: Veth, threads: int) -> None:
    told = scan(pair, threads, probes=2)
    answers = told["answers"]
    keys = Counter((a["address"], a["port"], a["attempt"]) for a in answers)
    assert len(keys) == 2 * 2 * TARGETS
    assert set(keys.values()) == {1}
    first = [a for a in answers if not a["repeat"]]
    assert len(first) == len({(a["address"], a["port"]) for a in first}) == 2 * TARGETS
    assert told["counters"]["validated"] == told["counters"]["received"] == len(answers)
    # A repeat never comes before what it repeats.
    seen = set()
    for answer in answers:
        key = answer["address"], answer["port"]
        assert answer["repeat"] == (key in seen)
        seen.add(key)


class Broken:
    """A ring that has no fanout."""

    def __init__(self) -> None:
        self.open = True

    def fan_out(self, group: int | None) -> int:
        raise OSError(95, "no fanout here")

    def close(self) -> None:
        self.open = False


def test_what_fails_leaves_nothing_open() -> None:
    ring = Broken()
    with pytest.raises(OSError, match="no fanout here"):
        Receivers(2, lambda: ring, lambda ring, *, lock: pytest.fail("not that far"))  # type: ignore[arg-type, return-value]
    assert not ring.open


def test_two_groups_do_not_share(pair: Veth) -> None:
    program = """
from stages.net.ring import Ring
from stages.scanner import probes
code = probes.get("tcp_synscan").filter((1, 2))
rings = [Ring("near0", code, blocks=2) for _ in range(4)]
one, two = rings[0].fan_out(None), rings[1].fan_out(None)
print(one != two, rings[2].fan_out(one) == one, rings[3].fan_out(two) == two)
"""
    assert pair.near(sys.executable, "-c", program).stdout.split() == ["True"] * 3
