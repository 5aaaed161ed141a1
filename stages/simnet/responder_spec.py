"""What the responder does, as data: `Reaction`, the ways in which it can meet a probe, `Says`, what a connection hears
behind the handshake, and `Responder`, how often each.

Pure, and nothing heavy: it is a part of `spec.Spec`. Which of them an (address, port) has is `responder_truth`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from ipaddress import IPv4Network
from typing import Any, Final


class Reaction(IntEnum):
    """What a probe to (address, port) meets. The words are TCP's; what UDP and ICMP echo make of them stands behind.

    A scanner must record what is right and drop what is wrong (`responder_truth.Record`).
    """

    SILENCE = 0  #: nothing
    SYNACK = 1  #: SYN-ACK with the options that were offered | datagram: what was sent comes back | echo reply
    BARE = 2  #: SYN-ACK without options | as SYNACK, but of DNS the header alone | as SYNACK
    RST = 3  #: RST, acknowledging seq + 1 | ICMP 3/3 of the target itself | ICMP 3/1 of a router
    RST_SEQ = 4  #: RST, acknowledging seq | as RST, with the shortest quote | as RST, with the shortest quote
    ICMP_8 = 5  #: ICMP error of a router that quotes 8 bytes behind the IP header
    ICMP_28 = 6  #: ICMP error of a router that quotes 28 bytes behind the IP header, as far as there are so many
    DUPLICATE = 7  #: SYNACK, two to four times
    DELAYED = 8  #: SYNACK, after one of the delays
    TARPIT = 9  #: SYN-ACK with window 0, and never a word after it | datagram without a byte | as SYNACK
    CONFUSED = 10  #: SYNACK and then a RST, both right | both answers of SYNACK and RST | the same
    FORGED_FIRST = 11  #: WRONG_ACK and then SYNACK
    LOST = 12  #: the probe does not arrive
    WRONG_ACK = 13  #: SYNACK for another sequence number | to another port of ours | for another identifier
    WRONG_PORT = 14  #: SYNACK to another port of ours | the same | for another sequence number
    OTHER_PORT = 15  #: SYNACK from another port | the same: right, from where a service answers | as SYNACK
    OTHER_ADDRESS = 16  #: SYNACK from a neighbour: an answer of a target that was not asked this
    BAD_CHECKSUM = 17  #: SYNACK with a wrong TCP | UDP | ICMP checksum
    BAD_IP_CHECKSUM = 18  #: SYNACK with a wrong IP header checksum
    BLIND_RST = 19  #: RST that acknowledges nothing | ICMP error that quotes another IP identification | ... identifier
    FORGED_ICMP = 20  #: ICMP error that quotes another sequence number | another port | another identifier
    SHORT_ICMP = 21  #: ICMP error that quotes 4 bytes behind the IP header: it binds to nothing
    STALE = 22  #: the SYN-ACK of an earlier scan: its own port and number | to another port | another identifier


class Says(IntEnum):
    """What a connection hears whose handshake is right. A request is one segment."""

    DEAF = 0  #: nothing, and nothing that it says is ever acknowledged: a middlebox that answers every SYN
    MUTE = 1  #: acknowledgements
    HTTP = 2  #: an HTTP response to what is said first; the connection stays open
    CLOSE = 3  #: the same, and a FIN with its last byte
    RESET = 4  #: the first half of CLOSE's response, then a RST
    GREETING = 5  #: a line, as soon as the handshake is complete
    TLS = 6  #: ServerHello, Certificate and ServerHelloDone of TLS 1.2, to whatever is said first


#: Delays that answers can have: each is a queue of its own.
MAX_DELAYS: Final = 8

#: No answer waits longer: beyond it there is no scan that would still listen.
MAX_DELAY: Final = 3600.0

#: Bytes of the body of an HTTP response, unless told otherwise: a short page, and one segment with its headers.
BODY: Final = 120
MAX_BODY: Final = 4096
#: Payload of a segment: what fits Ethernet beside timestamps, and still a sensible number.
SEGMENT: Final = 1440
MIN_SEGMENT: Final = 64
#: What a server does about a lost segment without knowing the path (RFC 6298 says 1 s, Linux waits 0.2 s at least).
AGAIN_S: Final = 0.25

#: The whole of the prefixes, unless told otherwise: what a busy network looks like.
DEFAULT_SHARES: Final[Mapping[str, float]] = {
    "synack": 0.05, "bare": 0.01, "rst": 0.30, "rst_seq": 0.01, "icmp_8": 0.02, "icmp_28": 0.02, "duplicate": 0.01,
    "delayed": 0.01, "tarpit": 0.01, "lost": 0.01,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Responder:
    """Prefixes that are answered for at wire speed, without a kernel and without state."""

    targets: tuple[str, ...]  #: IPv4 prefixes
    shares: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SHARES))  #: by name; the rest is silent
    delays: tuple[float, ...] = (0.6,)  #: seconds, of DELAYED
    loss: float = 0.0  #: of all probes, besides the reactions: by address, port and the port it came from
    says: Mapping[str, float] = field(
        default_factory=dict
    )  #: by name of `Says`, of all that converse; the rest is deaf
    body: int = BODY  #: bytes of an HTTP response's body
    segment: int = SEGMENT  #: bytes of a segment at most
    back: float = 0.0  #: of TCP answers, lost on their way; what a server would repeat comes again after `again`
    again: float = AGAIN_S  #: seconds

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not self.targets:
            raise ValueError("a responder without targets")
        for prefix in self.targets:
            try:
                IPv4Network(prefix)
            except ValueError as error:
                raise ValueError(f"responder {prefix}: {error}") from None
        _check_shares(self.shares, Reaction, "reaction", "the shares of the responder")
        _check_shares(self.says, Says, "conversation", "what it says")
        for name, share in (("loss", self.loss), ("loss on the way back", self.back)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} is {share}, not in [0, 1]")
        for name, value, lowest, highest in (
            ("body", self.body, 0, MAX_BODY), ("segment", self.segment, MIN_SEGMENT, SEGMENT),
            ("again", self.again, 0.0, MAX_DELAY),
        ):  # fmt: skip
            if not lowest <= value <= highest:
                raise ValueError(f"{name} is {value}, not in [{lowest}, {highest}]")
        if len(self.delays) > MAX_DELAYS or not all(0.0 <= delay <= MAX_DELAY for delay in self.delays):
            raise ValueError(f"delays {self.delays}: at most {MAX_DELAYS}, each from 0 to {MAX_DELAY:.0f} s")
        if self.shares.get("delayed") and not self.delays:
            raise ValueError("answers are delayed, and there is no delay")

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """First and last address of each prefix, ascending."""
        return tuple(sorted((int(n[0]), int(n[-1])) for n in map(IPv4Network, self.targets)))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Responder:
        """From what `dataclasses.asdict` and JSON made of one."""
        return cls(**{**values, "targets": tuple(values["targets"]), "delays": tuple(values["delays"])})


def _check_shares(shares: Mapping[str, float], names: type[IntEnum], what: str, all_of_them: str) -> None:
    for name, share in shares.items():
        if name.upper() not in names.__members__:
            known = ", ".join(member.name.lower() for member in names)
            raise ValueError(f"no {what} {name!r}; there are {known}")
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share {name} is {share}, not in [0, 1]")
    if sum(shares.values()) > 1.0 + 1e-9:
        raise ValueError(f"{all_of_them} are {sum(shares.values()):g} together, more than 1")


def parse_shares(text: str) -> dict[str, float]:
    """`synack=0.5,rst=0.2` as shares. Raises ValueError for what is none; unknown names are `Responder`'s."""
    shares = {}
    for part in text.split(","):
        name, equals, share = part.strip().partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not of the form name=share")
        if name in shares:
            raise ValueError(f"{name!r} is given twice")
        try:
            shares[name] = float(share)
        except ValueError:
            raise ValueError(f"{part!r}: {share!r} is not a number") from None
    return shares


def request(seed: int, responder: Responder, interface: str, mac: str, flights: Sequence[bytes] = ()) -> bytes:
    """The first line that a caller says to `python -m stages.simnet.responder`."""
    asked = {
        "seed": seed, "responder": asdict(responder), "interface": interface, "mac": mac,
        "flights": [flight.hex() for flight in flights],
    }  # fmt: skip
    return json.dumps(asked).encode() + b"\n"
