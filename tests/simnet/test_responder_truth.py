from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pytest

from stages.simnet.responder_spec import Reaction, Responder
from stages.simnet.responder_truth import ERRORS, MIN_COPIES, ROUTERS, SUCCESSES, TRANSPORTS, ResponderTruth

MASK = (1 << 64) - 1
EVERY = {reaction.name.lower(): 1 / len(Reaction) for reaction in Reaction}
NET = Responder(("10.0.0.0/18", "10.1.0.0/28"), EVERY, (0.5, 2.0))


def plainly(seed: int, responder: Responder, transport: str, address: int, port: int) -> Reaction:
    """The same in plain integers."""
    key = int.from_bytes(
        blake2b(str(seed).encode(), digest_size=8, person=b"resp " + transport.encode()).digest(), "big"
    )
    z = (key + (address << 16 | port) * 0x9E3779B97F4A7C15) & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    z ^= z >> 31
    total = 0.0
    for name, share in responder.shares.items():
        total += share
        if z >> 32 < round(total * (1 << 32)):
            return Reaction[name.upper()]
    return Reaction.SILENCE


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_reactions_are_the_hash_and_nothing_else(transport: str) -> None:
    truth = ResponderTruth(5, NET)
    addresses = truth.addresses()[::61]
    got = truth.reactions(addresses, 80, transport)  # type: ignore[arg-type]
    assert got.tolist() == [plainly(5, NET, transport, int(address), 80) for address in addresses]
    assert set(got.tolist()) == set(map(int, Reaction))


def test_shares_are_what_was_asked_for() -> None:
    truth = ResponderTruth(1, Responder(("10.0.0.0/14",), {"synack": 0.25, "rst": 0.5}))
    got = truth.reactions(truth.addresses(), 443)
    counts = {Reaction(kind): int((got == kind).sum()) / got.size for kind in np.unique(got)}
    assert counts == pytest.approx({Reaction.SYNACK: 0.25, Reaction.RST: 0.5, Reaction.SILENCE: 0.25}, abs=0.005)


def test_seed_port_and_transport_matter() -> None:
    truth = ResponderTruth(1, NET)
    addresses = truth.addresses()
    one = truth.reactions(addresses, 80)
    for other in (
        ResponderTruth(2, NET).reactions(addresses, 80), truth.reactions(addresses, 81),
        truth.reactions(addresses, 80, "udp"),
    ):  # fmt: skip
        assert (one == other).mean() < 0.1


def test_outside_of_the_targets_is_silence() -> None:
    full = ResponderTruth(1, Responder(("10.0.0.0/24", "10.0.2.0/24"), {"synack": 1.0}))
    around = np.arange(0x0A000000 - 2, 0x0A000302, dtype=np.uint32)
    open_ = {0x0A000000 + i for i in range(256)} | {0x0A000200 + i for i in range(256)}
    assert set(around[full.successes(around, 80)].tolist()) == open_
    assert full.addresses().tolist() == sorted(open_)


def test_loss_is_by_packet() -> None:
    truth = ResponderTruth(1, Responder(("10.0.0.0/16",), {"synack": 1.0}, loss=0.3))
    addresses = truth.addresses()
    first = truth.lost(addresses, 80, np.full(addresses.size, 40_000, np.uint16))
    second = truth.lost(addresses, 80, np.full(addresses.size, 40_001, np.uint16))
    assert first.mean() == pytest.approx(0.3, abs=0.01)
    assert (first & second).mean() == pytest.approx(0.09, abs=0.01)  # each probe meets its own luck
    assert not ResponderTruth(1, NET).lost(addresses, 80, np.full(addresses.size, 1, np.uint16)).any()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_records_say_what_each_reaction_comes_to(transport: str) -> None:
    truth = ResponderTruth(9, NET)
    addresses = truth.addresses()
    kinds = dict(zip(addresses.tolist(), truth.reactions(addresses, 80, transport).tolist(), strict=True))  # type: ignore[arg-type]
    records = list(truth.records(80, transport))  # type: ignore[arg-type]
    found = {record.address for record in records if record.success}
    assert found == {a for a, kind in kinds.items() if kind in SUCCESSES[transport]}  # type: ignore[index]
    assert found == set(addresses[truth.successes(addresses, 80, transport)].tolist())  # type: ignore[arg-type]
    for record in records:
        kind = Reaction(kinds[record.address])
        assert (record.count > 1) == (kind is Reaction.DUPLICATE)
        assert record.count <= MIN_COPIES + 2
        assert (record.delay in (0.5, 2.0)) == (kind is Reaction.DELAYED)
        if kind in (Reaction.ICMP_8, Reaction.ICMP_28):
            assert (record.classification, record.icmp in ERRORS) == ("icmp", True)
            assert record.responder >> 16 == ROUTERS >> 16
    wrong = {
        Reaction.SILENCE, Reaction.LOST, Reaction.STALE, Reaction.WRONG_ACK, Reaction.WRONG_PORT,
        Reaction.OTHER_ADDRESS, Reaction.BAD_CHECKSUM, Reaction.BAD_IP_CHECKSUM, Reaction.BLIND_RST,
        Reaction.FORGED_ICMP, Reaction.SHORT_ICMP,
    }  # fmt: skip
    assert not {record.address for record in records} & {a for a, kind in kinds.items() if kind in wrong}
    confused = [r for r in records if kinds[r.address] == Reaction.CONFUSED]
    assert sorted(r.success for r in confused) == [False] * (len(confused) // 2) + [True] * (len(confused) // 2)
    assert confused


def test_what_a_datagram_must_have_to_be_an_answer() -> None:
    truth = ResponderTruth(9, NET)
    addresses = truth.addresses()
    kinds = dict(zip(addresses.tolist(), truth.reactions(addresses, 53, "udp").tolist(), strict=True))
    assert {Reaction.BARE, Reaction.TARPIT, Reaction.OTHER_PORT} <= set(kinds.values())
    anything, cookie, question = (list(truth.records(53, "udp", w)) for w in ("anything", "cookie", "question"))
    assert cookie == [record for record in anything if kinds[record.address] != Reaction.TARPIT] != anything
    bare = [record for record in question if kinds[record.address] == Reaction.BARE]
    assert {(record.classification, record.success) for record in bare} == {("other", False)}
    assert [r for r in question if r not in bare] == [r for r in cookie if kinds[r.address] != Reaction.BARE]
    assert list(truth.records(123, "udp", "question")) == list(truth.records(123, "udp", "cookie"))
    for record in anything:
        assert record.source_port == (54 if kinds[record.address] == Reaction.OTHER_PORT else 53)
