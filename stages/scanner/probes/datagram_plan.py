"""Payload templates as arrays for kernels: parts of templates one behind the other, and which port gets which. Pure.

A *plan* is one template: its parts, its cookie, what its answers have in them. A port has `steps` plans, one for each
attempt in turn (several DNS questions), or one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from stages.net import headers
from stages.proto.payloads import First
from stages.proto.template import Field, Values
from stages.scanner.probes.randoms import KINDS, LITERAL

#: Where a UDP payload begins in a frame.
PAYLOAD_AT: Final = headers.ETHERNET_BYTES + headers.IPV4_BYTES + headers.UDP_BYTES
#: What is left of 1500 bytes of Ethernet.
MAX_PAYLOAD: Final = 1500 - headers.IPV4_BYTES - headers.UDP_BYTES

_PORTS: Final = 1 << 16


class Plans(NamedTuple):
    """Plans as kernels take them."""

    literals: Any  # u8: the bytes of all literal parts, and at least 8 more
    words: Any  # the same as u64, one row
    parts: Any  # i64, a row for each part: what it is, where its bytes begin or its first word's number, its length
    spans: Any  # i64, a row for each plan: first part, part behind the last
    cookies: Any  # i64, a row for each plan: kind of field (-1: no cookie), first word, length, place (-1: any), bits
    expects: Any  # i64, a row for each plan: where in `literals` it begins, length, place in the answer
    of_port: Any  # i32, 65,536: the first plan of each port
    steps: Any  # i64: plans of each port
    room: Any  # i64: bytes of the longest frame; nothing is written behind it


@dataclass(frozen=True, slots=True)
class Payloads:
    """What is sent: `others` to every port that `ports` does not name, each a list of as many first datagrams."""

    others: tuple[First, ...]
    ports: Mapping[int, tuple[First, ...]]

    def __post_init__(self) -> None:
        """Raises ValueError for a payload that does not fit into a frame."""
        for first in self.every:
            size = first.template.max_length
            if size > MAX_PAYLOAD:
                raise ValueError(f"a payload of up to {size} bytes; {MAX_PAYLOAD} fit")

    @property
    def every(self) -> list[First]:
        """All first datagrams, each port's together."""
        found = list(self.others)
        for firsts in self.ports.values():
            found += firsts
        return found

    @property
    def max_length(self) -> int:
        """Bytes of the longest payload."""
        return max(first.template.max_length for first in self.every)

    @property
    def constant(self) -> bytes | None:
        """The payload, if all packets have the same one."""
        return self.others[0].template.constant if len(self.every) == 1 else None

    @property
    def one_length(self) -> bool:
        """Whether all packets have the same length."""
        every = self.every
        return all(first.template.one_length for first in every) and len(
            {first.template.max_length for first in every}
        ) == 1  # fmt: skip

    def plans(self) -> Plans:
        """The arrays."""
        literals = bytearray()
        parts: list[tuple[int, int, int]] = []
        spans, cookies, expects = [], [], []
        of_port = np.zeros(_PORTS, np.int32)
        for first in self.every:
            begin = len(parts)
            for part in first.template.parts:
                if isinstance(part, Field):
                    parts.append((KINDS[part.name], part.word, part.length))
                else:
                    parts.append((LITERAL, len(literals), len(part)))
                    literals += part
            spans.append((begin, len(parts)))
            cookies.append(_cookie(first))
            expects.append((len(literals), len(first.expect), first.expect_at))
            literals += first.expect
        at = len(self.others)
        for port, firsts in self.ports.items():
            of_port[port] = at
            at += len(firsts)
        memory = np.zeros(len(literals) // 8 + 2, np.uint64)
        memory.view(np.uint8)[: len(literals)] = np.frombuffer(bytes(literals), np.uint8)
        return Plans(
            literals=memory.view(np.uint8),
            words=memory.reshape(1, -1),
            parts=_table(parts, 3),
            spans=_table(spans, 2),
            cookies=_table(cookies, 5),
            expects=_table(expects, 3),
            of_port=of_port,
            steps=np.int64(len(self.others)),
            room=np.int64(PAYLOAD_AT + self.max_length),
        )

    def first(self, port: int, attempt: int = 0) -> First:
        """What the attempt-th probe to a port carries."""
        firsts = self.ports.get(port, self.others)
        return firsts[attempt % len(firsts)]

    def render(self, values: Values, attempt: int = 0) -> bytes:
        """The payload of one packet, by the pure code."""
        return self.first(values.dport, attempt).template.render(values)


def _cookie(first: First) -> tuple[int, int, int, int, int]:
    if first.cookie is None:
        return -1, 0, 0, -1, 0
    field = first.cookie.field(first.template)
    at = -1 if first.cookie.at is None else first.cookie.at
    return KINDS[field.name], field.word, field.length, at, first.cookie.bits(first.template)


def _table(rows: Sequence[Sequence[int]], columns: int) -> Any:
    return np.array(rows, np.int64).reshape(-1, columns)
