"""What an agent may hand over as grabbed, and what it may not."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bannergrab.app import script_of
from stages.bannergrab.settings import BannergrabSettings
from stages.core.errors import RecordError
from stages.core.outcome import Outcome, Phase, Via
from stages.core.records import Banner, Tls, parse
from stages.fleet import ca, grabs, messages
from stages.fleet.messages import PROTOCOL, Slice
from stages.fleet.work import BannerGrab, TlsGrab, Work
from tests.fleet.house import TOPICS, House, leased
from tests.fleet.material import NOW, can, hit, shown, work

ASKED = work(banner=BannerGrab(ports="*"), tls=TlsGrab(ports="*"))
PROBE = grabs.probe_of(BannerGrab())
DER = (b"leaf", b"issuer")
CHAIN = [sha256(der).hexdigest() for der in DER]


def banner(position: int = 1, **more: Any) -> Banner:
    found = hit(position)
    body: dict[str, Any] = {
        "scan": found.scan, "ts": found.ts, "ip": found.ip, "port": found.port, "vantage": found.vantage,
        "outcome": Outcome.OK, "phase": Phase.READ, "probe": PROBE, "hit": found.id, "data": b"220 there\r\n",
    }  # fmt: skip
    return Banner(**{**body, **more})


def tls(position: int = 1, **more: Any) -> Tls:
    found = hit(position)
    body: dict[str, Any] = {
        "scan": found.scan, "ts": found.ts, "ip": found.ip, "port": found.port, "vantage": found.vantage,
        "outcome": Outcome.OK, "phase": Phase.CERTIFICATE, "mode": "certificate", "hit": found.id,
        "chain": CHAIN, "certificates": list(DER),
    }  # fmt: skip
    return Tls(**{**body, **more})


def test_what_was_asked_for_is_taken() -> None:
    assert grabs.wrong(banner(), ASKED) == grabs.wrong(tls(), ASKED) == ""
    assert grabs.wrong(tls(chain=[], certificates=[], outcome=Outcome.TIMEOUT), ASKED) == ""


@pytest.mark.parametrize(
    ("record", "asked", "said"),
    [
        (banner(), work(tls=TlsGrab(ports="*")), "none was asked for"),
        (tls(), work(banner=BannerGrab(ports="*")), "none was asked for"),
        (banner(probe="ssh"), ASKED, "another dialogue"),
        (banner(probe="send:0000000000000000"), ASKED, "another dialogue"),
        (banner(), work(banner=BannerGrab(ports="443")), "port"),
        (tls(), work(tls=TlsGrab()), "port"),
        (tls(mode="full"), ASKED, "another mode"),
        (banner(data=b"x" * 65_537), ASKED, "65537 bytes"),
        (banner(datagrams=[1]), ASKED, "bytes"),
        (banner(hit="0" * 32), ASKED, "hit"),
        (banner(hit=None), ASKED, "hit"),
        (banner(hit=hit(2).id), ASKED, "hit"),
        (banner(name="example.org"), ASKED, "nobody asked for"),
        (banner(transport="udp"), ASKED, "nobody asked for"),
        (banner(via=Via.RAW), ASKED, "nobody asked for"),
        (banner(control=True), ASKED, "control"),
        (banner(id="0" * 32), ASKED, "id"),
        (tls(id=banner().id), ASKED, "id"),
        (tls(chain=CHAIN[::-1]), ASKED, "others"),
        (tls(chain=CHAIN[:1]), ASKED, "others"),
        (tls(certificates=[]), ASKED, "others"),
        (tls(certificates=[b"leaf", b"forged"]), ASKED, "others"),
        (tls(certificates=[b"x" * 600_000], chain=[sha256(b"x" * 600_000).hexdigest()]), ASKED, "600000 bytes"),
        (tls(certificates=[b""] * 300, chain=[sha256(b"").hexdigest()] * 300), ASKED, "300 certificates"),
        (tls(rules=["tor"]), ASKED, "not asked for"),
        (tls(jarm="0" * 62), ASKED, "not asked for"),
    ],
)
def test_what_was_not_asked_for_is_refused_and_why(record: Banner | Tls, asked: Work, said: str) -> None:
    assert said in grabs.wrong(record, asked)


@pytest.mark.parametrize(
    ("asked", "settings"),
    [
        (BannerGrab(), {"data": "http-req", "wait": 2.0}),
        (BannerGrab(wait=0.0), {"data": "http-req"}),
        (BannerGrab(say="wait"), {}),
        (BannerGrab(say="ssh"), {"talk": "ssh"}),
    ],
)
def test_the_name_of_the_dialogue_is_bannergrabs(asked: BannerGrab, settings: dict[str, Any]) -> None:
    assert grabs.probe_of(asked) == script_of(BannergrabSettings(**settings)).probe


# --- at the coordinator


@pytest.fixture
async def house(tmp_path: Path, authority: ca.Authority) -> AsyncIterator[House]:
    made = House(tmp_path, authority)
    await made.begin("alice", "bob", work=ASKED)
    for alias in ("alice", "bob"):
        hello = messages.Hello(protocol=PROTOCOL, capabilities=can(grabs=("banner", "tls")), clock=NOW)
        assert (await made.say(alias, "hello", hello)).status == 200
    yield made
    made.state.close()


async def hand_over(house: House, slice: Slice, *lines: bytes, alias: str = "alice") -> int:
    return (await house.say(alias, "results", b"\n".join(lines), str(slice.token))).status


async def test_each_kind_goes_to_its_own_log_under_the_key_of_its_network(house: House) -> None:
    slice = await leased(house, "alice")
    assert await hand_over(house, slice, hit(1).dump(), banner().dump(), tls().dump()) == 200
    sent = [
        (output.topic, output.key, parse(output.value)) for output in house.log.outputs if output.topic != TOPICS.scans
    ]
    assert sent == [
        (TOPICS.hits, b"10.0.0", hit(1)), (TOPICS.banners, b"10.0.0", banner()), (TOPICS.tls, b"10.0.0", tls())
    ]  # fmt: skip
    assert house.coordinator.ledger.jobs["town"].hits == 1, "grabs are no hits"


async def test_lengths_and_hashes_are_our_own(house: House) -> None:
    slice = await leased(house, "alice")
    forged = orjson.loads(banner().dump())
    forged |= {"sha256": "f" * 64, "size": 1, "more": "x" * 1_000}
    assert await hand_over(house, slice, orjson.dumps(forged)) == 200
    assert house.log.outputs[-1].value == banner().dump()


@pytest.mark.parametrize("more", [{"ip": "10.0.0.250"}, {"ip": "192.0.2.1"}, {"vantage": "bob"}, {"scan": "city"}])
async def test_of_others_nothing_is_taken(house: House, more: dict[str, str]) -> None:
    slice = await leased(house, "alice")
    for record in (banner(**more), tls(**more)):
        assert await hand_over(house, slice, record.dump()) == 422
    assert house.log.outputs[1:] == []


async def test_one_that_is_wrong_keeps_all_of_them_out(house: House) -> None:
    slice = await leased(house, "alice")
    assert await hand_over(house, slice, hit(1).dump(), banner().dump(), tls(chain=[]).dump()) == 422
    assert house.log.outputs[1:] == []


async def test_numbers_that_cannot_be_written_are_refused(house: House) -> None:
    slice = await leased(house, "alice")
    for wrong in (b'"facts":{"a":"\\ud800"}', b'"sent":' + b"9" * 60, b'"icmp":' + b'{"a":' * 400 + b"1" + b"}" * 400):
        name = wrong[: wrong.index(b":")]
        start, _, rest = banner().dump().partition(name + b":")
        line = start + wrong + rest[rest.index(b",") :]
        assert await hand_over(house, slice, line) in (200, 400)


async def test_a_sample_is_scanned_and_not_grabbed(house: House) -> None:
    house.coordinator.ledger._rng = random.Random(1)
    slice = await leased(house, "alice")
    said = messages.Progress(token=slice.token, position=slice.last, proof=shown(slice, slice.last))
    assert (await house.say("alice", "progress", said)).status == 200
    sample = await leased(house, "bob")
    assert house.coordinator.ledger.leases[sample.token].check == "alice"
    assert sample.work == ASKED.bare()
    found = replace(hit(sample.first), vantage="bob", id="")
    assert await hand_over(house, sample, found.dump(), alias="bob") == 200
    forged = banner(sample.first, vantage="bob", hit=found.id)
    assert await hand_over(house, sample, forged.dump(), alias="bob") == 422


_TEXTS = st.sampled_from(["", "town", "city", "alice", "tcp", "udp", "connect", "raw", "10.0.0.1", "10.0.9.9", "x"])
_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 70_000), st.floats(), _TEXTS, st.lists(_TEXTS, max_size=2),
    st.dictionaries(_TEXTS, _TEXTS, max_size=2),
)  # fmt: skip
_FIELDS = sorted(orjson.loads(banner().dump()) | orjson.loads(tls().dump()))


@given(st.booleans(), st.dictionaries(st.sampled_from(_FIELDS), _VALUES, max_size=3))
def test_whatever_is_changed_in_a_record_it_is_of_the_same_place_and_words_or_it_is_refused(
    is_banner: bool, changes: dict[str, Any]
) -> None:
    good = banner() if is_banner else tls()
    try:
        read = parse(orjson.dumps(orjson.loads(good.dump()) | changes))
    except RecordError:
        return
    if not isinstance(read, Banner | Tls) or grabs.wrong(read, ASKED):
        return
    at = (read.scan, read.ip, read.port)
    if at == (good.scan, good.ip, good.port):  # else it is refused for its place
        same = ("id", "hit", "transport", "name", "via", "control")
        assert [getattr(read, name) for name in same] == [getattr(good, name) for name in same]
    if isinstance(read, Tls):
        assert [sha256(der).hexdigest() for der in read.certificates] == read.chain
