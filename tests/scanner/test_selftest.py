from __future__ import annotations

import pytest

from stages.scanner import selftest
from stages.scanner.probes import NAMES
from stages.scanner.selftest import CHECKS, Skip, Wrong, run


def test_everything_is_sound_here() -> None:
    results = list(run())
    assert [result.name for result in results] == [name for name, _ in CHECKS]
    assert [result.line for result in results if result.state == "FAIL"] == []
    texts = {result.name: result.text for result in results}
    assert "tcp_synscan" in texts["templates"]
    assert "icmp_echoscan" in texts["templates"]


def wrong() -> str:
    raise Wrong("two and two are five")


def skipped() -> str:
    raise Skip("nobody may look")


def broken() -> str:
    raise ZeroDivisionError("by zero")


def test_a_line_for_each_way_it_can_end() -> None:
    lines = [result.line for result in run((("a", wrong), ("b", skipped), ("c", broken), ("d", lambda: "fine")))]
    assert lines == [
        "FAIL a: two and two are five", "skip b: nobody may look", "FAIL c: ZeroDivisionError: by zero", "ok   d: fine",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "replacement", "check"),
    [
        ("_SIPHASH", 1, "hash"), ("_RFC_1071", (b"\0\1", 2), "checksum"),
        ("siphash24", lambda key, data: 7, "hash"), ("checksum", lambda data: 7, "checksum"),
    ],
)  # fmt: skip
def test_what_is_wrong_fails(monkeypatch: pytest.MonkeyPatch, name: str, replacement: object, check: str) -> None:
    monkeypatch.setattr(selftest, name, replacement)
    (result,) = [result for result in run() if result.name == check]
    assert result.state == "FAIL"


def test_a_wrong_frame_is_seen() -> None:
    frame = bytearray(next(selftest._frames(NAMES[0])))
    selftest._check_frame("x", bytes(frame))
    for at in (26, 40, 24, 50):
        frame[at] ^= 1
        with pytest.raises(Wrong):
            selftest._check_frame("x", bytes(frame))
        frame[at] ^= 1


def test_an_order_that_leaves_out_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(selftest.Permutation):
        def one(self, i: int) -> int:
            return 0

    monkeypatch.setattr(selftest, "Permutation", Lazy)
    assert [result.state for result in run() if result.name == "permutation"] == ["FAIL"]
