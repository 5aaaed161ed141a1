from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.fields import choose
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.outputs.extended_file import ExtendedFile
from stages.scanner.rows import connected
from tests.servers.answers import rst, synack

WANTED = Format(choose("saddr", "tcp_synscan"), HitLines(HitSource("s", "tcp_synscan")))


def test_it_is_the_manuals_table() -> None:
    """The order and the separators of the older manual's example, which forge-socket scans for."""
    one = ExtendedFile(WANTED)
    header, first, second = (
        (one.begin() + one.render([synack(seq=1, ack=2), rst(ack=9, repeat=1, cooldown=1, dport=40001)]))
        .decode()
        .splitlines()
    )
    assert header == "response, saddr, daddr, sport, dport, seq, ack, in_cooldown, is_repeat, timestamp"
    assert first == "synack, 10.0.0.1, 192.0.2.2, 80, 40000, 1, 2, 0, 0,2026-11-21 07:10:00.000"
    assert second == "rst, 10.0.0.1, 192.0.2.2, 80, 40001, 0, 9, 1, 1,2026-11-21 07:10:00.000"


def test_without_a_header_and_what_is_unknown_is_0() -> None:
    one = ExtendedFile(Format(WANTED.fields, WANTED.hits, header_row=False))
    assert one.begin() == b""
    line = one.render([connected("10.0.0.1", 80, 1, ts=0, rtt=None)]).decode()
    assert line == "synack, 10.0.0.1, 0.0.0.0, 80, 0, 0, 0, 0, 0,1970-01-01 00:00:00.000\n"


@given(st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 3, st.integers(0, 65535), st.integers(0, 1)), max_size=5))
def test_what_is_written_can_be_read(rows: list[tuple[int, int, int, int, int]]) -> None:
    answers = [synack(address=a, seq=s, ack=k, dport=p, repeat=r) for a, s, k, p, r in rows]
    read = []
    for line in ExtendedFile(WANTED).render(answers).decode().splitlines():
        _, saddr, _, _, dport, seq, ack, _, last = line.split(", ")
        read.append((saddr, int(seq), int(ack), int(dport), int(last.partition(",")[0])))
    assert read == [(str(IPv4Address(a)), s, k, p, r) for a, s, k, p, r in rows]
