"""The truth of the responder: which reaction every (address, port) has, what a scanner must record of it, and what a
connection hears.

Beside `truth`, and like it a pure function of (seed, address, port): one hash gives the reaction and the details
(delay, copies, router, numbers). Here the hash is a numba piece, because the responder's kernel asks it for every
packet; the same piece answers for whole arrays of addresses, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from stages.net import headers
from stages.net.jit import kernel, piece
from stages.simnet.responder_draws import GOLDEN, ROLL, below, chosen, mix
from stages.simnet.responder_spec import Reaction, Responder, Says
from stages.simnet.responder_words import Talk, say, says_all, talk_of, voice_of

Transport = Literal["tcp", "udp", "icmp"]
TRANSPORTS: Final[tuple[Transport, ...]] = ("tcp", "udp", "icmp")
TCP, UDP, ECHO = range(3)

#: What makes a datagram an answer of a UDP probe: that it comes to our port; that it has the probe's cookie as well;
#: and then a right one only if it repeats the question too (DNS).
Wanted = Literal["anything", "cookie", "question"]

_S16, _S32 = np.uint64(16), np.uint64(32)
_LOW8, _LOW16 = np.uint64(0xFF), np.uint64(0xFFFF)

#: Routers that send ICMP errors: the upper half of what RFC 2544 sets aside for measurements (the links use the lower).
ROUTERS: Final = 0xC6130000
#: (type, code) of the errors of routers: unreachable (net, host, admin prohibited) and time exceeded in transit.
ERRORS: Final = ((3, 0), (3, 1), (3, 13), (11, 0))
TYPES = np.array([kind for kind, _ in ERRORS], np.uint8)
CODES = np.array([code for _, code in ERRORS], np.uint8)
_ERRORS = np.uint64(len(ERRORS))

#: A duplicate comes two to four times.
MIN_COPIES: Final = 2
_MORE_COPIES = np.uint64(3)

#: Where a BARE datagram is the header of a DNS message and no question.
DNS_PORT: Final = 53

WINDOW: Final = 64240
MSS: Final = 1460
WSCALE: Final = 7
#: TTLs as if 8 to 23 routers stood between.
_TTL, _HOPS = np.uint64(64 - 23), np.uint64(15)


class Rules(NamedTuple):
    """A responder for kernels. u64 arrays, `kinds` u8, `delays` i64 in nanoseconds."""

    keys: Any  # for each of TRANSPORTS
    ends: Any  # upper ends of the intervals of a 32-bit roll; kinds[i] is the reaction below ends[i], the last the rest
    kinds: Any
    delays: Any
    lost: Any  # a roll below it: the probe is lost
    firsts: Any  # the targets
    lasts: Any
    talk: Talk


def rules_of(seed: int, responder: Responder, flights: Sequence[bytes] = ()) -> Rules:
    """The responder's rules under a seed; `flights` are what TLS servers answer. Raises ValueError (`talk_of`)."""
    keys = [blake2b(str(seed).encode(), digest_size=8, person=b"resp " + t.encode()).digest() for t in TRANSPORTS]
    ends, kinds, total = [], [], 0.0
    for name, share in responder.shares.items():
        total += share
        ends.append(min(ROLL, round(total * ROLL)))
        kinds.append(Reaction[name.upper()])
    firsts, lasts = zip(*responder.ranges, strict=True)
    return Rules(
        keys=np.array([int.from_bytes(key, "big") for key in keys], np.uint64),
        ends=np.array(ends, np.uint64),
        kinds=np.array([*kinds, Reaction.SILENCE], np.uint8),
        delays=np.array([round(delay * 1e9) for delay in responder.delays] or [0], np.int64),
        lost=np.uint64(round(responder.loss * ROLL)),
        firsts=np.array(firsts, np.uint64),
        lasts=np.array(lasts, np.uint64),
        talk=talk_of(responder, flights),
    )


@piece
def drawn(rules: Any, transport: Any, address: Any, port: Any) -> Any:
    """The 64 bits that decide about an (address, port); of ICMP echo the port is 0."""
    return mix(rules.keys[transport] + ((address << _S16) | port) * GOLDEN)


@piece
def details(h: Any) -> Any:
    """64 more bits."""
    return mix(h + GOLDEN)


@piece
def reaction_of(rules: Any, h: Any, address: Any) -> Any:
    """The reaction (u8); silence outside of the targets."""
    inside = False
    for i in range(rules.firsts.size):
        inside |= (address >= rules.firsts[i]) & (address <= rules.lasts[i])
    if not inside:
        return np.uint8(0)
    return rules.kinds[chosen(h, rules.ends)]


@piece
def is_lost(rules: Any, h: Any, source_port: Any) -> Any:
    """Whether the probe that came from `source_port` is lost on its way."""
    return below(mix(h ^ (source_port * GOLDEN)), rules.lost)


@piece
def copies_of(detail: Any) -> Any:
    return np.int64(MIN_COPIES) + np.int64(detail % _MORE_COPIES)


@piece
def delay_of(rules: Any, detail: Any) -> Any:
    """Which of the delays."""
    return np.int64((detail >> _S16) % np.uint64(rules.delays.size))


@piece
def router_of(detail: Any) -> Any:
    return np.uint64(ROUTERS) | (detail >> _S32 & _LOW16)


@piece
def error_of(detail: Any) -> Any:
    """Index into ERRORS."""
    return np.int64((detail & _LOW8) % _ERRORS)


@piece
def ttl_of(detail: Any) -> Any:
    return _TTL + (detail >> np.uint64(8) & _HOPS)


@kernel
def _reactions(rules: Any, transport: Any, addresses: Any, port: Any, out: Any) -> None:
    for i in range(addresses.size):
        address = np.uint64(addresses[i])
        out[i] = reaction_of(rules, drawn(rules, transport, address, port), address)


@kernel
def _lost(rules: Any, transport: Any, addresses: Any, port: Any, source_ports: Any, out: Any) -> None:
    for i in range(addresses.size):
        h = drawn(rules, transport, np.uint64(addresses[i]), port)
        out[i] = is_lost(rules, h, np.uint64(source_ports[i]))


@kernel
def _details(rules: Any, transport: Any, address: Any, port: Any) -> Any:
    detail = details(drawn(rules, transport, address, port))
    error = error_of(detail)
    delay = rules.delays[delay_of(rules, detail)]
    return copies_of(detail), delay, router_of(detail), TYPES[error], CODES[error], ttl_of(detail)


@kernel
def _voices(rules: Any, addresses: Any, port: Any, out: Any) -> None:
    for i in range(addresses.size):
        out[i] = voice_of(details(drawn(rules, TCP, np.uint64(addresses[i]), port)))


#: Reactions that a scanner records as a success, by transport.
_RIGHT: Final = (
    Reaction.SYNACK, Reaction.BARE, Reaction.DUPLICATE, Reaction.DELAYED, Reaction.TARPIT, Reaction.CONFUSED,
    Reaction.FORGED_FIRST,
)  # fmt: skip
SUCCESSES: Final[dict[Transport, tuple[Reaction, ...]]] = {
    "tcp": _RIGHT,
    "udp": (*_RIGHT, Reaction.OTHER_PORT),
    "icmp": (*_RIGHT, Reaction.OTHER_PORT),
}
_REFUSALS: Final = (Reaction.RST, Reaction.RST_SEQ, Reaction.CONFUSED)
_ERRORS_OF_ROUTERS: Final = (Reaction.ICMP_8, Reaction.ICMP_28)
_NAMES: Final[dict[Transport, str]] = {"tcp": "synack", "udp": "udp", "icmp": "echoreply"}


@dataclass(frozen=True, slots=True)
class Record:
    """What a scanner must record of one target: `count` answers of one classification, all but the first a repeat."""

    address: int
    port: int
    classification: str  #: synack | rst | icmp | udp | other | echoreply
    success: bool
    count: int = 1
    responder: int = 0  #: who sends it; the target itself unless a router does
    icmp: tuple[int, int] | None = None  #: type and code
    delay: float = 0.0  #: seconds
    source_port: int = 0  #: that it comes from: `port`, but of OTHER_PORT


class ResponderTruth:
    """What stands at every (address, port) of a responder."""

    def __init__(self, seed: int, responder: Responder, flights: Sequence[bytes] = ()) -> None:
        """Raises ValueError (`talk_of`)."""
        self.responder = responder
        self.rules = rules_of(seed, responder, flights)

    def addresses(self) -> npt.NDArray[np.uint32]:
        """All targets, ascending, each once."""
        parts = [np.arange(first, last + 1, dtype=np.uint32) for first, last in self.responder.ranges]
        return np.unique(np.concatenate(parts))

    def reactions(
        self, addresses: npt.NDArray[np.uint32], port: int, transport: Transport = "tcp"
    ) -> npt.NDArray[np.uint8]:
        """Values of `Reaction`, of the same length. ICMP echo has port 0."""
        out = np.empty(len(addresses), np.uint8)
        _reactions(self.rules, TRANSPORTS.index(transport), addresses, np.uint64(port), out)
        return out

    def lost(
        self, addresses: npt.NDArray[np.uint32], port: int, source_ports: npt.NDArray[np.uint16],
        transport: Transport = "tcp",
    ) -> npt.NDArray[np.bool_]:  # fmt: skip
        """Whether `Responder.loss` takes the probe from `source_ports[i]` to `addresses[i]`; echo: identifiers."""
        out = np.empty(len(addresses), np.bool_)
        _lost(self.rules, TRANSPORTS.index(transport), addresses, np.uint64(port), source_ports, out)
        return out

    def successes(
        self, addresses: npt.NDArray[np.uint32], port: int, transport: Transport = "tcp"
    ) -> npt.NDArray[np.bool_]:
        """Whether a scan must find the target, of the same length."""
        return np.isin(self.reactions(addresses, port, transport), SUCCESSES[transport])

    def says(self, addresses: npt.NDArray[np.uint32], port: int) -> npt.NDArray[np.uint8]:
        """Values of `Says` of connections to them, of the same length: DEAF also where there can be none."""
        out = np.empty(len(addresses), np.uint8)
        says_all(self.rules.talk, self.reactions(addresses, port), self._voices(addresses, port), out)
        return out

    def banners(self, addresses: npt.NDArray[np.uint32], port: int) -> list[bytes]:
        """All that each connection hears, whatever it says first in one segment; b"": nothing."""
        said: list[bytes] = []
        room = np.empty(int(self.rules.talk.shapes[:, [1, 2, 4]].sum(axis=1).max()), np.uint8)
        pairs = zip(self.says(addresses, port).tolist(), self._voices(addresses, port), strict=True)
        for kind, voice in pairs:
            said.append(room[: say(self.rules.talk, kind, voice, room)].tobytes())
        return said

    def banner(self, address: int, port: int) -> tuple[Says, bytes]:
        """How one connection talks, and all that it hears."""
        one = np.array([address], np.uint32)
        return Says(int(self.says(one, port)[0])), self.banners(one, port)[0]

    def _voices(self, addresses: npt.NDArray[np.uint32], port: int) -> npt.NDArray[np.uint64]:
        out = np.empty(len(addresses), np.uint64)
        _voices(self.rules, addresses, np.uint64(port), out)
        return out

    def records(self, port: int, transport: Transport = "tcp", wanted: Wanted = "anything") -> Iterator[Record]:
        """What one probe to every target must make a scanner record, addresses ascending; without `loss`. `wanted` is
        for UDP."""
        addresses = self.addresses()
        for address, value in zip(addresses.tolist(), self.reactions(addresses, port, transport).tolist(), strict=True):
            reaction = Reaction(value)
            if transport == "udp" and wanted != "anything" and reaction is Reaction.TARPIT:
                continue
            for record in self._of(address, port, reaction, transport):
                if wanted == "question" and port == DNS_PORT and reaction is Reaction.BARE:
                    record = replace(record, classification="other", success=False)
                yield record

    def _of(self, address: int, port: int, reaction: Reaction, transport: Transport) -> Iterator[Record]:
        values = _details(self.rules, TRANSPORTS.index(transport), np.uint64(address), np.uint64(port))
        copies, delay, router, kind, code, _ = map(int, values)
        if reaction in SUCCESSES[transport]:
            yield Record(
                address, port, _NAMES[transport], success=True,
                count=copies if reaction is Reaction.DUPLICATE else 1, responder=address,
                delay=delay / 1e9 if reaction is Reaction.DELAYED else 0.0,
                source_port=(port + 1) & 0xFFFF if transport == "udp" and reaction is Reaction.OTHER_PORT else port,
            )  # fmt: skip
        if reaction in _REFUSALS:
            if transport == "tcp":
                yield Record(address, port, "rst", success=False, responder=address, source_port=port)
            elif transport == "udp":
                refused = (headers.ICMP_UNREACHABLE, 3)
                yield Record(address, port, "icmp", success=False, responder=address, icmp=refused, source_port=port)
            else:
                refused = (headers.ICMP_UNREACHABLE, 1)
                yield Record(address, port, "icmp", success=False, responder=router, icmp=refused, source_port=port)
        if reaction in _ERRORS_OF_ROUTERS:
            yield Record(address, port, "icmp", success=False, responder=router, icmp=(kind, code), source_port=port)
