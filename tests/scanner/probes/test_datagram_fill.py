"""The frames of the fill kernels, byte by byte against the pure renderer and scapy."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from stages.proto.cookie import MAX_COOKIE_BYTES
from stages.proto.payloads import First
from stages.proto.template import FIELDS, Template, Values
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.probes import datagram
from stages.scanner.probes.datagram_plan import Payloads
from stages.scanner.space import Space
from stages.scanner.validation import Tag

SECRET, PORTS = bytes(range(16)), (98, 10_005)
#: Octets of one, two and three digits, ports of one to five.
RANGES = [(0, 40), (0x0A090807, 0x0A090830), (0xDFFFFF00, 0xDFFFFFFE)]
TARGETS = (7, 53, 123, 1900, 65535)
NOW = 1_700_000_000_123


def builder(payloads: Payloads, *, each: int = 1, sources: int = 1, batch: int = 64, ports=TARGETS) -> FrameBuilder:  # type: ignore[no-untyped-def]
    space = Space.build(RANGES, ports)
    return FrameBuilder(
        space, Permutation(space.size, 9), datagram.build("udp", "", (), payloads), SECRET,
        source_ips=tuple(range(0x01020304, 0x01020304 + sources)), source_ports=PORTS, ttl=77, probes=each, batch=batch,
    )  # fmt: skip


def check(made: FrameBuilder, payloads: Payloads, *, each: int = 1, sources: int = 1, attempt: int = 0) -> None:
    """Every row of a filled block."""
    rows = made.fill(3, made.batch, NOW, attempt)
    for row in range(rows):
        target, j = divmod(row, each)
        address, port = int(made.address[target]), int(made.port[target])
        source = 0x01020304 + (address + j + attempt) % sources
        tag = Tag.of(SECRET, source, address, port)
        sport = tag.source_port(PORTS, j + attempt)
        payload = payloads.render(Values(source, address, sport, port, tag.value, NOW * 1000), j + attempt)
        frame = made.frame(row)
        seen = Ether(frame)
        assert frame[42:] == payload
        assert (seen[IP].len, seen[UDP].len) == (len(frame) - 14, len(frame) - 34)
        assert (seen[IP].id, seen[IP].ttl, seen[IP].flags) == (tag.value & 0xFFFF, 77, 0)
        assert (int.from_bytes(frame[26:30], "big"), int.from_bytes(frame[30:34], "big")) == (source, address)
        assert (seen[UDP].sport, seen[UDP].dport) == (sport, port)
        again = seen.copy()
        again[IP].chksum = again[UDP].chksum = None
        assert bytes(again) == frame
        assert seen[UDP].chksum != 0


def payloads_of(*texts: str) -> Payloads:
    return Payloads(tuple(First("x", (), Template.parse(text.encode("latin-1"))) for text in texts), {})


EVERY_FIELD = "|".join(
    f"${{{name}=23}}" if name.startswith("RAND") else f"${{{name}=00ff}}" if name == "HEX" else f"${{{name}}}"
    for name in FIELDS
)


@pytest.mark.parametrize(("each", "sources"), [(1, 1), (3, 1), (2, 3)])
@pytest.mark.parametrize("text", ["", "x", "constant payload of some length", EVERY_FIELD, "${SADDR}${DPORT}"])
def test_every_byte(text: str, each: int, sources: int) -> None:
    payloads = payloads_of(text)
    check(builder(payloads, each=each, sources=sources), payloads, each=each, sources=sources)


def test_several_payloads_in_turn_and_by_port() -> None:
    plain, timed = (First("x", (), Template.parse(text)) for text in (b"plain", b"${UNIXTIME_SEC}!"))
    random = First("x", (), Template.parse(b"${RAND_BYTE=31}${SPORT}"))
    payloads = Payloads((plain, timed), {53: (random, plain), 65535: (timed, timed)})
    check(builder(payloads, each=3), payloads, each=3)


def test_later_attempts() -> None:
    payloads = payloads_of("${SPORT}${RAND_ALPHA=5}", "second")
    made = builder(payloads, sources=2)
    check(made, payloads, sources=2, attempt=5)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            [f"${{{name}}}" for name in FIELDS if name != "HEX"] + ["${RAND_BYTE=9}", "x", "seventeen bytes!!"]
        ),
        max_size=9,
    )
)
def test_any_template(pieces: list[str]) -> None:
    payloads = payloads_of("".join(pieces))
    check(builder(payloads, batch=8), payloads)


@pytest.mark.parametrize("length", [*range(14, 24), *range(1462, 1473)])
@pytest.mark.parametrize("end", ["${DPORT}", "${DADDR}", "${RAND_BYTE=3}", "${RAND_DIGIT=8}", "z"])
def test_up_to_the_end_of_the_row(length: int, end: str) -> None:
    """Payloads that end just before, at and behind a multiple of 64 bytes: nothing is written beyond a row."""
    longest = Template.parse(end.encode()).max_length
    payloads = payloads_of("${RAND_BYTE=1}" + "y" * (length - 1 - longest) + end)
    check(builder(payloads, batch=8), payloads)


@pytest.mark.parametrize("text", ["", "${DADDR}", "${RAND_BYTE=13}", "x${SPORT}${RAND_DIGIT=9}", EVERY_FIELD])
def test_what_is_behind_the_longest_frame_is_neither_written_nor_read(text: str) -> None:
    """There may stand something else: with a VLAN tag the head of the next row does."""
    payloads = Payloads((First("x", (), Template.parse(text.encode())), First("x", (), Template.literal(b"other"))), {})
    made = builder(payloads, batch=16, each=2)
    limit = 42 + payloads.max_length
    made.frames[:, limit:] = 0xEE
    check(made, payloads, each=2)
    assert (made.frames[:, limit:] == 0xEE).all()


def test_rows_do_not_reach_into_each_other() -> None:
    payloads = payloads_of("${RAND_BYTE=86}")  # 42 + 86 = 128 bytes: the whole row
    made = builder(payloads, batch=8)
    rows = made.fill(0, 8)
    assert made.frames.shape[1] == 128
    frames = [made.frame(row) for row in range(rows)]
    for row in reversed(range(rows)):
        made.fill(row, 1)
        assert made.frame(0) == frames[row]


def test_the_same_packets_whoever_fills_them() -> None:
    """Any number of threads, any batch: a packet depends on its target alone."""
    payloads = payloads_of("${RAND_BYTE=20}${SPORT}")
    one, other = builder(payloads, batch=64), builder(payloads, batch=7)
    one.fill(0, 64)
    whole = [one.frame(row) for row in range(64)]
    apart = []
    for first in range(0, 63, 7):
        other.fill(first, 7)
        apart += [other.frame(row) for row in range(7)]
    assert apart == whole[:63]


def test_the_longest_cookie_is_drawn_whole() -> None:
    payloads = payloads_of(f"${{RAND_BYTE={MAX_COOKIE_BYTES}}}")
    made = builder(payloads)
    made.fill(0, 64)
    assert len({made.frame(row)[42:] for row in range(64)}) == 64
    assert re.fullmatch(rb".{32}", made.frame(0)[42:], re.DOTALL)
