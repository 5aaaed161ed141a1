"""Dialogues by name; and what holds of each of them whatever the peer says."""

from __future__ import annotations

import random

import orjson
import pytest

from stages.bannergrab.settings import LARGEST_MAX_BYTES
from stages.core.outcome import Outcome, Phase
from stages.core.records import MAX_RECORD_BYTES, Banner
from stages.proto.banner import Script
from stages.proto.dialogues.registry import DIALOGUES, NAMES, Named, begin_of, talk_of, unfit
from stages.proto.dialogues.ssh_wire import MAX_PACKET, packet, string
from tests.fuzzing import fuzz, inputs
from tests.proto.dialogues.peers import PACE, checked, hear
from tests.proto.dialogues.test_esmtp import ANSWER, GREETING
from tests.proto.dialogues.test_http_answer import BROKEN, WHOLE
from tests.proto.dialogues.test_ssh import ID, REPLY, kexinit
from tests.proto.dialogues.test_tls import LEAF
from tests.proto.recognise.test_registry import EVERYTHING
from tests.servers.tls_bytes import flight

FUZZ = inputs()

#: Bytes that are asked of the kernel at once and therefore come at once.
SEGMENT = 65_536
PORTS = (22, 25, 80, 443, 445, 3306, 5432, 6379, 4711)


def test_each_name_has_its_dialogue() -> None:
    for name in DIALOGUES:
        talk = Named(name, PACE, b"secret").begin("192.0.2.1", 80, "a.example")
        assert isinstance(talk, begin_of(name))  # type: ignore[arg-type]
        assert talk.total == PACE.total
        assert talk_of(name, Script(total=7.0)).probe == name
    assert set(NAMES) == {*DIALOGUES, "wait", "send", "wait-send"}


def test_a_script_stays_what_it_is() -> None:
    script = Script()
    assert talk_of(None, script) is script
    assert talk_of("wait", script) is script


def test_the_pace_and_the_secret_are_the_script_s() -> None:
    named = talk_of("ssh", Script(first=1.0, idle=2.0, total=3.0, secret=b"s"))
    assert isinstance(named, Named)
    assert (named.pace.first, named.pace.idle, named.pace.total, named.secret) == (1.0, 2.0, 3.0, b"s")
    assert not named.stateless
    one, other = (named.begin("192.0.2.1", port).target.seed for port in (22, 23))
    assert one != other
    assert one == named.begin("192.0.2.1", 22).target.seed


@pytest.mark.parametrize(
    ("name", "payload", "wait", "why"),
    [
        ("ssh", False, False, None),
        ("ssh", True, False, "--talk ssh says its own words: no --data"),
        ("http", True, True, "--talk http says its own words: no --data and no --wait"),
        ("wait", False, False, None),
        ("wait", True, False, "--talk wait goes without --data"),
        ("send", True, False, None),
        ("send", False, False, "--talk send needs --data"),
        ("send", True, True, "--talk send goes without --wait"),
        ("wait-send", True, True, None),
        ("wait-send", True, False, "--talk wait-send needs --wait"),
    ],
)
def test_what_goes_with_what(name: str, payload: bool, wait: bool, why: str | None) -> None:
    assert unfit(name, payload=payload, wait=wait) == why


GOOD = [
    *EVERYTHING,
    *(data for data, _ in WHOLE),
    *(data for data in BROKEN if len(data) < 1000),
    GREETING + ANSWER,
    ID + kexinit() + REPLY,
    flight([LEAF], 0x0303, 0x002F),
    b"S" + flight([LEAF], 0x0303, 0x002F),
]


def forged(rng: random.Random) -> bytes:
    """Something that a server could say, or nearly."""
    data = bytearray(rng.choice(GOOD) if rng.random() < 0.9 else rng.randbytes(rng.randrange(200)))
    for _ in range(rng.randrange(4)):
        if data:
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at:]
                case _:
                    data[at:at] = rng.choice(GOOD)[:400]
    return bytes(data)


@fuzz
def test_any_bytes() -> None:
    rng = random.Random(6)
    for number in range(FUZZ):
        talk = Named(DIALOGUES[number % len(DIALOGUES)], PACE, b"s").begin("192.0.2.1", rng.choice(PORTS), "a.example")
        sent = len(talk.opening())
        for _ in range(rng.randrange(3)):
            sent += len(talk.silence() or b"")
        data = forged(rng)
        step = rng.choice((1, 3, 40, 9999)) if len(data) < 300 else rng.choice((60, 9999))
        assert talk.wait() > 0
        for at in range(0, len(data), step):
            said = talk.receive(data[at : at + step])
            assert talk.idle > 0
            if said is None:
                sent += len(talk.farewell())
                break
            sent += len(said)
        else:
            if rng.random() < 0.5:
                sent += len(talk.eof() or b"")
        talk.over()
        talk.over()
        checked(talk)
        assert sent < 6000
        orjson.dumps(talk.facts)


ENDLESS = {
    "zeros": bytes(SEGMENT),
    "text": b"x" * SEGMENT,
    "lines": b"hello\r\n" * (SEGMENT // 7),
    "greeting": b"220-hello\r\n" * (SEGMENT // 11),
    "ehlo": b"250-X\r\n" * (SEGMENT // 7),
    "fields": b"X: y\r\n" * (SEGMENT // 6),
    "chunks": b"1\r\nx\r\n" * (SEGMENT // 6),
    "ignored": packet(b"\2") * (SEGMENT // 16),
    "packet": b"\xff" * SEGMENT,
    "warnings": b"\x15\3\1\0\2\1\x70" * (SEGMENT // 7),
}
STARTS = {
    "http": b"HTTP/1.1 200 OK\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "long": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    "ssh": ID,
    "key": ID + kexinit(),
    "large": ID + (16 << 20).to_bytes(4, "big"),
    "smtp": b"220 ESMTP\r\n",
    "tls": b"\x16\3\3\x40\0\2\0\xff\xff",
    "": b"",
}


@pytest.mark.parametrize("port", [22, 443, 5432, 80])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", DIALOGUES)
def test_a_peer_that_never_ends(name: str, start: str, port: int) -> None:
    """It ends by itself, or holds and says nothing more however long that goes on: the engine's limits end it."""
    for endless in ENDLESS.values():
        talk = Named(name, PACE, b"s").begin("192.0.2.1", port)
        talk.opening()
        talk.silence()
        ended = talk.receive(STARTS[start]) is None if STARTS[start] else False
        said = 0
        for _ in range(20):
            if ended:
                break
            more = talk.receive(endless)
            ended = more is None
            said += len(more or b"")
        assert said < 5000
        talk.over()
        checked(talk)
        if name in ("ssh", "esmtp", "http"):
            assert ended, (name, start)
        assert held(talk) < 4 * SEGMENT


def held(thing: object, depth: int = 6) -> int:
    """Bytes that an object holds in its own attributes, and theirs."""
    if isinstance(thing, bytes | str):
        return len(thing)
    if isinstance(thing, dict):
        return sum(held(one, depth - 1) for one in thing.values())
    if isinstance(thing, list | tuple):
        return sum(held(one, depth - 1) for one in thing)
    if depth == 0 or not type(thing).__module__.startswith("stages."):
        return 0
    slots = [slot for kind in type(thing).__mro__ for slot in getattr(kind, "__slots__", ())]
    return sum(held(getattr(thing, slot, None), depth - 1) for slot in slots)


def test_the_largest_facts_and_the_largest_banner_fit_in_a_record() -> None:
    names = ",".join(['"' * 64] * 50)
    lists = b"".join(string(names.encode()) for _ in range(8))
    init = packet(b"\x14" + bytes(16) + lists + string(b"curve25519-sha256") + string(b"") + bytes(5))
    assert len(init) <= MAX_PACKET
    talk = Named("identify", PACE, b"s").begin("192.0.2.1", 22)
    assert hear(talk, b'SSH-2.0-"' + b'"' * 900 + b"\r\n" + init) is None
    assert len(talk.facts["ciphers"]) == 48
    size = len(orjson.dumps(talk.facts))
    assert 30_000 < size < 50_000
    record = Banner(
        "s" * 200, 0, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65_535, Outcome.OK, Phase.READ, name="n" * 253,
        data=b"x" * LARGEST_MAX_BYTES, service=talk.service, facts=talk.facts,
    )  # fmt: skip
    assert len(record.dump()) < MAX_RECORD_BYTES
