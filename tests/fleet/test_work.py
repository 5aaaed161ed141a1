from __future__ import annotations

from typing import Any

import pydantic
import pytest

from stages.core.errors import ListError
from stages.core.netset import range_texts
from stages.fleet.work import BannerGrab, TlsGrab, Work, netset, proof
from tests.fleet.material import DIGEST, work


def test_it_comes_back_from_json_as_it_was() -> None:
    w = work(retries=2, max_rate=100.0)
    assert Work.model_validate_json(w.model_dump_json()) == w
    assert w.networks().size == 1_024


def test_what_is_grabbed_comes_back_too_and_can_be_left_out() -> None:
    w = work(banner=BannerGrab(say="ssh", ports="22"), tls=TlsGrab(mode="full"))
    assert Work.model_validate_json(w.model_dump_json()) == w
    assert w.grabs == ("banner", "tls")
    assert (w.bare(), w.bare().grabs) == (work(), ())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scan", "../etc"), ("scan", ""), ("scan", "a b"), ("scan", "a\n"), ("scan", "x" * 101), ("scan", "-rf"),
        ("ranges", ()), ("ranges", ("$(reboot)",)), ("ranges", ("10.0.0.0/8;",)), ("ports", "80;reboot"),
        ("probe", "../x"), ("probe", "a" * 41), ("probe_args", "x" * 5_000), ("seed", -1), ("seed", 1 << 64),
        ("seed", "1"), ("size", 0), ("size", 1 << 49), ("digest", "zz"), ("max_rate", 0.0), ("max_rate", float("nan")),
        ("cooldown", 1e9), ("command", "nmap"), ("banner", {"say": "rm -rf"}), ("banner", {"say": "./payload"}),
        ("banner", {"data": "x"}), ("banner", {"ports": "80;reboot"}), ("banner", {"ports": "99999"}),
        ("banner", {"ports": "9-1"}), ("banner", {"total_timeout": 61.0}), ("banner", {"read_timeout": 0.0}),
        ("banner", {"max_bytes": 65_537}), ("tls", {"mode": "jarm"}), ("tls", {"max_connections": 5}),
        ("tls", {"starttls": "telnet"}), ("tls", {"max_bytes": 1 << 20}), ("tls", {"rules": ["x"]}), ("tls", "yes"),
        ("banner", {"ports": "1-65535," * 100}),
        ("approval", "a\nb"), ("operator", "\x1b[31m"), ("approval", "x" * 501),
    ],
)  # fmt: skip
def test_what_is_no_typed_field_of_a_scan_is_refused(field: str, value: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        work(**{field: value})


def test_ranges_as_text_and_back() -> None:
    texts = range_texts([(0x0A000000, 0x0A0000FF), (0x0A000200, 0x0A000200)])
    assert texts == ["10.0.0.0-10.0.0.255", "10.0.2.0-10.0.2.0"]
    assert netset(tuple(texts), "ranges").size == 257
    with pytest.raises(ListError, match="ranges:1"):
        netset(("host.example",), "ranges")


def test_a_proof_is_of_these_positions_of_this_order_and_no_others() -> None:
    one = proof(DIGEST, 0, 10, None)
    others = [proof(DIGEST, 0, 11, None), proof(DIGEST, 1, 10, None), proof("f" * 32, 0, 10, None)]
    others += [proof(DIGEST, 0, 10, ()), proof(DIGEST, 0, 10, ("10.0.0.0/8",))]
    assert len({one, *others}) == 6
    assert len(one) == 32
