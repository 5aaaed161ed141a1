"""What the responder does, as data: `Reaction`, the ways in which it can meet a probe, and `Responder`, how often each.

Pure, and nothing heavy: it is a part of `spec.Spec`. Which reaction an (address, port) has is `responder_truth`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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


#: Delays that answers can have: each is a queue of its own.
MAX_DELAYS: Final = 8

#: No answer waits longer: beyond it there is no scan that would still listen.
MAX_DELAY: Final = 3600.0

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

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not self.targets:
            raise ValueError("a responder without targets")
        for prefix in self.targets:
            try:
                IPv4Network(prefix)
            except ValueError as error:
                raise ValueError(f"responder {prefix}: {error}") from None
        for name, share in self.shares.items():
            if name.upper() not in Reaction.__members__:
                known = ", ".join(reaction.name.lower() for reaction in Reaction)
                raise ValueError(f"no reaction {name!r}; there are {known}")
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"share {name} is {share}, not in [0, 1]")
        if sum(self.shares.values()) > 1.0 + 1e-9:
            raise ValueError(f"the shares of the responder are {sum(self.shares.values()):g} together, more than 1")
        if not 0.0 <= self.loss <= 1.0:
            raise ValueError(f"loss is {self.loss}, not in [0, 1]")
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
        return cls(tuple(values["targets"]), dict(values["shares"]), tuple(values["delays"]), float(values["loss"]))


def parse_shares(text: str) -> dict[str, float]:
    """`synack=0.5,rst=0.2` as shares. Raises ValueError for what is none; unknown names are `Responder`'s."""
    shares = {}
    for part in text.split(","):
        name, equals, share = part.strip().partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not of the form reaction=share")
        if name in shares:
            raise ValueError(f"{name!r} is given twice")
        try:
            shares[name] = float(share)
        except ValueError:
            raise ValueError(f"{part!r}: {share!r} is not a number") from None
    return shares


def request(seed: int, responder: Responder, interface: str, mac: str) -> bytes:
    """The first line that a caller says to `python -m stages.simnet.responder`."""
    asked = {"seed": seed, "responder": asdict(responder), "interface": interface, "mac": mac}
    return json.dumps(asked).encode() + b"\n"
