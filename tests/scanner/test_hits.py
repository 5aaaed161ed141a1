from __future__ import annotations

import base64
import dataclasses
import math
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core import records
from stages.core.records import Hit, prefix_key
from stages.scanner.answers import BY_COOKIE, BY_PORT, ICMP, KNOCK, RST, SYNACK, UDP, UDP_OTHER
from stages.scanner.hits import HitLines, HitSource, hit_of
from stages.scanner.rows import Answer, Packed, address_text, connected
from tests.servers.answers import array, datagram, echo, rst, synack, unreachable

SOURCE = HitSource("a scan", "tcp_synscan", vantage='Zürich "1"', host="scanner-1")


def as_hit(answer: Answer, source: HitSource = SOURCE) -> Hit:
    """The same answer by way of the record class."""
    tcp: dict[str, Any] | None = None
    udp: dict[str, Any] | None = None
    icmp: dict[str, Any] | None = None
    if answer.kind in (UDP, UDP_OTHER):
        data = base64.b64encode(answer.data).decode()
        udp = {
            "port": answer.sport, "size": answer.size, "truncated": answer.data_size < answer.size, "data": data,
        }  # fmt: skip
    elif answer.classification in ("icmp", "echoreply"):
        icmp = {"type": answer.icmp_type, "code": answer.icmp_code, "responder": address_text(answer.responder)}
        if answer.classification == "echoreply":
            icmp |= {"id": answer.ack, "seq": answer.seq}
    elif answer.seq is not None:
        tcp = {
            "seq": answer.seq, "ack": answer.ack, "window": answer.window, "mss": answer.mss or None,
            "wscale": None if answer.wscale < 0 else answer.wscale, "sack": bool(answer.sack),
            "ts_val": answer.ts_val if answer.has_ts else None, "ts_ecr": answer.ts_ecr if answer.has_ts else None,
            "ipid": answer.ipid,
        }  # fmt: skip
    own = None
    if answer.daddr is not None:
        own = {
            "ip": address_text(answer.daddr), "port": answer.dport, "validated": answer.validated,
            "bits": answer.bits, "host": source.host, "syns": source.syns, "wscale": source.wscale,
        }  # fmt: skip
    rtt = None if answer.rtt is None or math.isnan(answer.rtt) else round(answer.rtt, 6)
    return Hit(
        source.scan, answer.ts, address_text(answer.address), answer.port, vantage=source.vantage,
        transport=source.transport, probe=source.probe, classification=answer.classification, success=answer.success,
        repeat=bool(answer.repeat), cooldown=bool(answer.cooldown), attempt=answer.attempt, ttl=answer.ttl, rtt=rtt,
        source=own, tcp=tcp, icmp=icmp, udp=udp,
    )  # fmt: skip


ANSWERS = [
    synack(),
    synack(has_ts=1, ts_val=2**32 - 1, ts_ecr=0, wscale=-1, mss=0, sack=0, repeat=1, cooldown=1, rtt=math.nan),
    synack(address="255.255.255.255", port=65535, wscale=14, rtt=1.5),
    rst(),
    rst(port=0),
    unreachable(),
    connected("2001:db8:1:2::3", 443, SYNACK, ts=1_700_000_000_000_000, rtt=0.25),
    connected(1, 443, RST, ts=1_700_000_000_000_000, rtt=None),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_line_is_what_the_record_class_dumps(answer: Answer) -> None:
    line = HitLines(SOURCE).line(answer)
    assert orjson.loads(line) == orjson.loads(as_hit(answer).dump())
    assert list(orjson.loads(line)) == list(orjson.loads(as_hit(answer).dump()))  # and in its order
    assert records.parse(line) == as_hit(answer)


@pytest.mark.parametrize("answer", [answer for answer in ANSWERS if answer.success])
@pytest.mark.parametrize("wscale", [None, 8])
def test_a_hit_is_what_its_line_is_read_as(answer: Answer, wscale: int | None) -> None:
    source = dataclasses.replace(SOURCE, syns=3, wscale=wscale)
    assert hit_of(answer, source) == records.parse(HitLines(source).line(answer))


def test_an_echo_reply() -> None:
    source = dataclasses.replace(SOURCE, probe="icmp_echoscan", transport="icmp")
    line = HitLines(source).line(echo())
    assert records.parse(line) == as_hit(echo(), source)
    assert orjson.loads(line)["icmp"] == {"type": 0, "code": 0, "responder": "10.0.0.1", "id": 77, "seq": 78}


@given(
    st.builds(
        synack,
        address=st.integers(0, 2**32 - 1),
        port=st.integers(0, 65535),
        ts=st.integers(0, 4_000_000_000_000_000),
        rtt=st.floats(0, 100) | st.just(math.nan),
        seq=st.integers(0, 2**32 - 1),
        wscale=st.integers(-1, 14),
        has_ts=st.integers(0, 1),
        ttl=st.integers(0, 255),
    )
)
def test_any_answer(answer: Answer) -> None:
    assert records.parse(HitLines(SOURCE).line(answer)) == as_hit(answer)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "kind": st.sampled_from([SYNACK, RST, KNOCK]),
                "ts": st.integers(0, 4_000_000_000_000_000),
                "rtt": st.integers(0, 10**9).map(lambda us: us / 1e6) | st.just(math.nan),
                **{name: st.integers(0, 2**32 - 1) for name in ("address", "daddr", "seq", "ack", "ts_val", "ts_ecr")},
                **{name: st.integers(0, 65_535) for name in ("port", "dport", "window", "ipid", "mss")},
                **{name: st.integers(0, 1) for name in ("sack", "has_ts", "repeat", "cooldown")},
                **{name: st.integers(0, 255) for name in ("ttl", "attempt", "bits")},
                "wscale": st.integers(-1, 14),
                "bound": st.integers(0, 31),
            }
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["s", "a scan", "x" * 103, "y" * 104, "z" * 300]),
)
@settings(deadline=None)
@pytest.mark.timeout(600)  # the first test on a machine compiles the kernel
def test_an_array_gives_the_lines_of_its_rows(given_rows: list[dict[str, Any]], scan: str) -> None:
    answers = Packed(array(*given_rows))
    lines = HitLines(dataclasses.replace(SOURCE, scan=scan, wscale=8))
    batch = lines.batch(answers)
    assert batch is not None
    assert list(batch) == lines.keyed(list(answers))
    assert lines.lines(answers) == batch.lines == batch.data.splitlines()


def test_other_answers_go_row_by_row() -> None:
    lines = HitLines(SOURCE)
    answers = Packed(array({}, {"kind": ICMP}))
    assert lines.batch(answers) is None
    assert lines.lines(answers) == [lines.line(answer) for answer in answers]
    assert lines.batch(Packed(array())) is None


@pytest.mark.parametrize("answer", [
    datagram(b"\x00\xffanswer", port=53, attempt=2, bound=BY_PORT | BY_COOKIE, bits=30),
    datagram(b"x" * 1000, size=5000, sport=4000),
    datagram(b"", kind=UDP_OTHER),
])  # fmt: skip
def test_a_datagram(answer: Answer) -> None:
    source = dataclasses.replace(SOURCE, probe="udp", transport="udp")
    assert records.parse(HitLines(source).line(answer)) == as_hit(answer, source)


def test_the_key_is_the_prefix_and_the_order_is_kept() -> None:
    answers = [synack(address=f"10.0.{i}.7") for i in range(5)] + [ANSWERS[6]]
    lines = HitLines(SOURCE)
    keyed = lines.keyed(answers)
    assert [key for key, _ in keyed] == [prefix_key(address_text(answer.address)) for answer in answers]
    assert [line for _, line in keyed] == lines.lines(answers)


@given(st.text(max_size=20), st.text(max_size=20))
def test_names_are_escaped(scan: str, vantage: str) -> None:
    source = HitSource(scan, "tcp_synscan", vantage=vantage, host=vantage)
    assert records.parse(HitLines(source).line(synack())) == as_hit(synack(), source)
