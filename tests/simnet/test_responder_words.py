from __future__ import annotations

import numpy as np
import pytest

from stages.simnet.responder_spec import Reaction, Responder, Says
from stages.simnet.responder_truth import ResponderTruth
from stages.simnet.responder_words import CONVERSES, MAX_SEGMENTS, longest, say, says_all, talk_of

FLIGHTS = (b"one" * 100, b"two" * 200)
ALL = {says.name.lower(): 1 / len(Says) for says in Says}


def truth(seed: int = 1, **more: object) -> ResponderTruth:
    spec = Responder(("10.0.0.0/18",), {"synack": 1.0}, says=ALL, **more)  # type: ignore[arg-type]
    return ResponderTruth(seed, spec, FLIGHTS)


def test_shares_are_what_was_asked_for() -> None:
    made = truth()
    got = made.says(made.addresses(), 80)
    for says in Says:
        assert (got == says).mean() == pytest.approx(ALL[says.name.lower()], abs=0.015)


def test_what_is_said_is_of_address_port_and_seed() -> None:
    made, again, other = truth(), truth(), truth(2)
    addresses = made.addresses()
    banners = made.banners(addresses, 80)
    assert banners == again.banners(addresses, 80)
    assert banners != other.banners(addresses, 80)
    own = made.says(addresses, 80) == Says.CLOSE
    bodies = [banner for banner, one in zip(banners, own.tolist(), strict=True) if one]
    assert len(set(bodies)) == len(bodies) > 1000
    assert made.banners(addresses[:100], 80) != made.banners(addresses[:100], 81)
    assert made.banner(int(addresses[5]), 80) == (Says(int(made.says(addresses, 80)[5])), banners[5])


@pytest.mark.parametrize("body", [0, 1, 15, 16, 17, 120, 4000])
def test_every_kind_says_its_text(body: int) -> None:
    made = truth(body=body)
    addresses = made.addresses()[:2000]
    seen = set()
    for says, banner in zip(made.says(addresses, 80).tolist(), made.banners(addresses, 80), strict=True):
        seen.add(says)
        if says in (Says.HTTP, Says.CLOSE):
            head, _, letters = banner.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert f"Content-Length: {body}\r\n".encode() in head + b"\r\n"
            assert head.endswith(b"Connection: close" if says == Says.CLOSE else b"Connection: keep-alive")
            assert len(letters) == body
            assert not letters or letters.isalpha()
        elif says == Says.RESET:
            assert banner.startswith(b"HTTP/1.1 200 OK\r\n"[: len(banner)])
        elif says == Says.GREETING:
            assert (banner[:4], banner[20:]) == (b"220 ", b".simnet.example ready\r\n")
        elif says == Says.TLS:
            assert banner in FLIGHTS
        else:
            assert banner == b""
    assert seen == set(Says)


def test_a_part_of_a_text_is_a_part_of_it() -> None:
    """Written in segments of 64, it is what it is in one."""
    from stages.net.jit import kernel
    from stages.simnet.responder_words import text_of, write_text

    @kernel
    def parts(talk: object, says: object, voice: object, out: object, size: object) -> object:
        text, total = text_of(talk, says, voice)
        at = 0
        while at < total:
            end = min(at + size, total)
            write_text(out, at, talk, text, voice, at, end)
            at = end
        return total

    made = truth(body=333)
    talk, whole, cut = made.rules.talk, np.zeros(4096, np.uint8), np.zeros(4096, np.uint8)
    for says in Says:
        for size in (1, 7, 16, 64, 500):
            cut[:] = 0
            total = say(talk, int(says), np.uint64(12345), whole)
            assert parts(talk, int(says), np.uint64(12345), cut, size) == total  # type: ignore[misc]
            assert cut[:total].tobytes() == whole[:total].tobytes()


def test_who_does_not_converse_is_deaf() -> None:
    made = truth()
    out = np.empty(500, np.uint8)
    for reaction in Reaction:
        says_all(made.rules.talk, np.full(500, reaction, np.uint8), np.arange(500, dtype=np.uint64) << 55, out)
        assert bool((out == Says.DEAF).all()) == (reaction not in CONVERSES)


def test_what_cannot_be_said() -> None:
    with pytest.raises(ValueError, match="no flight"):
        talk_of(Responder(("10.0.0.0/8",), says={"tls": 0.1}))
    with pytest.raises(ValueError, match=f"more than {MAX_SEGMENTS} segments of 100"):
        talk_of(Responder(("10.0.0.0/8",), says={"http": 0.1}, segment=100, body=400))


def test_the_longest_segment() -> None:
    assert longest(talk_of(Responder(("10.0.0.0/8",)))) == 0
    assert longest(talk_of(Responder(("10.0.0.0/8",), says={"http": 1.0}, body=4000))) == 1440
    short = longest(talk_of(Responder(("10.0.0.0/8",), says={"http": 1.0}, body=10)))
    assert 100 < short < 200
