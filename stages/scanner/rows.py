"""One answer as a row of plain Python values, whichever engine it came from. Pure.

The packet engine delivers numpy arrays of ANSWER (`stages.scanner.answers`); `rows` turns one into tuples with the
same field names, in one pass. The connect engine makes rows itself: what it cannot see (the SYN-ACK) is None, and an
IPv6 address is text where an IPv4 address is an integer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Final, Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from stages.scanner.answers import (
    BOUND_NAMES,
    BY_ECHO,
    BY_IP_ID,
    ECHOREPLY,
    ICMP,
    KIND_NAMES,
    SUCCESSES,
    UDP,
    UDP_OTHER,
    AnswerArray,
)  # fmt: skip

#: What is published: successes that are no repeats, or every validated answer.
Publish = Literal["success", "all"]

#: The dotted quad's parts: quicker than formatting integers, and shared.
_OCTETS: Final = tuple(str(octet) for octet in range(256))


class Answer(NamedTuple):
    """The fields of ANSWER, by the same names and in the same order; at the end the bytes that `data_at` points to."""

    ts: int
    rtt: float | None
    position: int
    saddr: int | str
    daddr: int | str | None
    seq: int | None
    ack: int | None
    ts_val: int
    ts_ecr: int
    responder: int | str
    address: int | str
    sport: int
    dport: int | None
    port: int
    window: int | None
    ipid: int | None
    mss: int
    wscale: int
    sack: int
    has_ts: int
    ttl: int | None
    kind: int
    icmp_type: int
    icmp_code: int
    attempt: int
    repeat: int
    cooldown: int
    bound: int = 0
    bits: int = 0
    size: int = 0
    data_size: int = 0
    data: bytes = b""

    @property
    def validated(self) -> str:
        """By what it is bound to its probe: `port+number`."""
        return VALIDATED[self.bound]

    @property
    def success(self) -> bool:
        return self.kind in SUCCESSES

    @property
    def classification(self) -> str:
        return KIND_NAMES[self.kind]


class LeftOut(Answer):
    """An answer that is no result: it is counted, and not published."""

    __slots__ = ()


#: Every column but the bytes.
_COLUMNS: Final = Answer._fields[:-1]
#: `bound` in words.
VALIDATED: Final = tuple(
    "+".join(name for bit, name in BOUND_NAMES.items() if bound & bit) for bound in range(2 * max(BOUND_NAMES))
)


def rows(answers: AnswerArray) -> list[Answer]:
    """The rows of an ANSWER array. Column by column: a third quicker than numpy's own way through the rows."""
    columns = [answers[name].tolist() for name in _COLUMNS]
    payload: bytes = getattr(answers, "payload", b"")
    if not payload:
        made = list(map(Answer._make, zip(*columns, repeat(b"", len(answers)), strict=True)))
    else:
        places = zip(answers["data_at"].tolist(), answers["data_size"].tolist(), strict=True)
        made = list(map(Answer._make, zip(*columns, [payload[at : at + size] for at, size in places], strict=True)))
    return _marked(made, getattr(answers, "chosen", None))


def _marked(made: list[Answer], chosen: npt.NDArray[np.bool_] | None) -> list[Answer]:
    """Those that are not chosen, as left out."""
    if chosen is not None:
        for at in (~chosen).nonzero()[0].tolist():
            made[at] = LeftOut._make(made[at])
    return made


class Packed(Sequence[Answer]):
    """Answers as the array in which they came. Who goes through them has rows, which are made once; who knows arrays
    takes `array`, and no row is made."""

    __slots__ = ("_rows", "array", "chosen")

    def __init__(self, array: AnswerArray, chosen: npt.NDArray[np.bool_] | None = None) -> None:
        """`array`: of ANSWER; no row points to bytes. `chosen`: which are results; None: all."""
        self.array = array
        self.chosen = chosen
        self._rows: list[Answer] | None = None

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, at: int) -> Answer: ...
    @overload
    def __getitem__(self, at: slice) -> Packed: ...
    def __getitem__(self, at: int | slice) -> Answer | Packed:
        return self._part(at) if isinstance(at, slice) else self._made()[at]

    def __iter__(self) -> Iterator[Answer]:
        return iter(self._made())

    def where(self, mask: npt.NDArray[np.bool_]) -> Packed:
        """Those for which it is true."""
        return self if mask.all() else self._part(mask)

    def results(self) -> Packed:
        """Those that are."""
        return self if self.chosen is None else Packed(self.array[self.chosen])

    def _part(self, at: slice | npt.NDArray[np.bool_]) -> Packed:
        return Packed(self.array[at], None if self.chosen is None else self.chosen[at])

    def _made(self) -> list[Answer]:
        if self._rows is None:
            self._rows = _marked(rows(self.array), self.chosen)
        return self._rows


def joined(batches: Sequence[AnswerArray | list[Answer]]) -> Sequence[Answer]:
    """Batches one behind the other: as one array where none is more than its columns say."""
    if not batches or any(isinstance(batch, list) or getattr(batch, "payload", b"") for batch in batches):
        return [answer for batch in batches for answer in (batch if isinstance(batch, list) else rows(batch))]
    chosen = [getattr(batch, "chosen", None) for batch in batches]
    if all(mask is None for mask in chosen):
        return Packed(_one([np.asarray(batch) for batch in batches]))
    masks = [
        np.ones(len(batch), np.bool_) if mask is None else mask for batch, mask in zip(batches, chosen, strict=True)
    ]
    return Packed(_one([np.asarray(batch) for batch in batches]), _one(masks))


def _one(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def positions(answers: Sequence[Answer]) -> list[int]:
    """Where their targets stand in the scan's order."""
    if isinstance(answers, Packed):
        found: list[int] = answers.array["position"].tolist()
        return found
    return [answer.position for answer in answers]


def counted(answers: Sequence[Answer]) -> Mapping[tuple[int, bool], int]:
    """How many there are of each (kind, whether it is a repeat)."""
    if not isinstance(answers, Packed):
        return Counter((answer.kind, bool(answer.repeat)) for answer in answers)
    values, many = np.unique(
        answers.array["kind"].astype(np.int64) * 2 + (answers.array["repeat"] != 0), return_counts=True
    )
    return {(value >> 1, bool(value & 1)): n for value, n in zip(values.tolist(), many.tolist(), strict=True)}


def kinds_in(answers: Packed, kinds: Iterable[int]) -> npt.NDArray[np.bool_]:
    """Of each, whether it is of one of these kinds."""
    return np.isin(answers.array["kind"], tuple(kinds))


def connected(
    address: int | str,
    port: int,
    kind: int,
    *,
    ts: int,
    rtt: float | None,
    position: int = 0,
    icmp: tuple[int, int] | None = None,
    responder: int | str | None = None,
    cooldown: bool = False,
    attempt: int = 0,
) -> Answer:
    """The row of a target that a kernel socket talked to: nothing of the SYN-ACK is known."""
    kind_of, code = icmp or (0, 0)
    return Answer(
        ts=ts, rtt=rtt, position=position, saddr=address if responder is None else responder, daddr=None,
        seq=None, ack=None, ts_val=0, ts_ecr=0, responder=address if responder is None else responder,
        address=address, sport=port, dport=None, port=port, window=None, ipid=None, mss=0, wscale=-1, sack=0,
        has_ts=0, ttl=None, kind=kind, icmp_type=kind_of, icmp_code=code, attempt=attempt, repeat=0,
        cooldown=int(cooldown),
    )  # fmt: skip


def select(answers: Iterable[Answer], publish: Publish) -> Sequence[Answer]:
    """What `publish` lets through, of what the filter has not left out already."""
    if isinstance(answers, Packed):
        results = answers.results()
        if publish == "all":
            return results
        return results.where(kinds_in(results, SUCCESSES) & (results.array["repeat"] == 0))
    if publish == "all":
        return [answer for answer in answers if type(answer) is Answer]
    return [a for a in answers if a.kind in SUCCESSES and not a.repeat and type(a) is Answer]


def transport_of(answer: Answer) -> str:
    """tcp, udp or icmp: of the probe that it answers. An ICMP error tells by what of the probe it quoted."""
    kind, bound = answer.kind, answer.bound
    if kind in (UDP, UDP_OTHER) or (kind == ICMP and bound & BY_IP_ID):
        return "udp"
    if kind == ECHOREPLY or (kind == ICMP and bound & BY_ECHO):
        return "icmp"
    return "tcp"


def address_text(address: int | str) -> str:
    """A dotted quad from 32 bits; text as it is."""
    if isinstance(address, str):
        return address
    high = f"{_OCTETS[address >> 24]}.{_OCTETS[address >> 16 & 255]}"
    return f"{high}.{_OCTETS[address >> 8 & 255]}.{_OCTETS[address & 255]}"
