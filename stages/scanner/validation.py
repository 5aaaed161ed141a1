"""Validation without state: SipHash-2-4 under the scan's secret over (source, target, port).

    message    source (4 bytes), target (4), port (2): our address, the address and the port probed
    low half   the TCP sequence number; ICMP echo: identifier (low 16 bits) and sequence number
    high half  where in the range of source ports the first probe to this target starts

An answer must carry back what only the holder of the secret could have put into the probe; nothing is kept for a target
and nothing of an answer is looked at before that. Here are the pieces that the kernels share, and the same in plain
integers for a single target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from stages.net.jit import piece
from stages.net.siphash import hash_words, siphash24

Word: TypeAlias = Any  # a u64 inside a kernel

#: 10 bytes of message: the length in the top byte of SipHash's last word.
_LENGTH: Final = 10 << 56
_LENGTH_WORD = np.uint64(_LENGTH)
_LOW32 = np.uint64(0xFFFFFFFF)
_LOW16 = np.uint64(0xFFFF)
_S16, _S32 = np.uint64(16), np.uint64(32)
_ONE = np.uint64(1)


@piece
def tag(k0: Word, k1: Word, source: Word, target: Word, port: Word) -> Word:
    """The 64 bits that bind a probe to its answer."""
    return hash_words(k0, k1, (source << _S32) | target, _LENGTH_WORD | port)


@piece
def sequence(value: Word) -> Word:
    """TCP sequence number of a tag."""
    return value & _LOW32


@piece
def echo_id(value: Word) -> Word:
    """ICMP identifier of a tag."""
    return value & _LOW16


@piece
def echo_sequence(value: Word, attempt: Word) -> Word:
    """ICMP sequence number of a tag's attempt-th probe."""
    return ((value >> _S16) + attempt) & _LOW16


@piece
def port_offset(value: Word, port_count: Word) -> Word:
    """Offset of the first probe's source port in the range: the high half scaled to [0, port_count)."""
    return ((value >> _S32) * port_count) >> _S32


@piece
def source_port(offset: Word, attempt: Word, first_port: Word, port_count: Word) -> Word:
    """Source port of the attempt-th probe: consecutive, round the end of the range. attempt <= port_count."""
    place = offset + attempt
    place = place - port_count if place >= port_count else place
    return first_port + place


@piece
def attempt_of(offset: Word, port: Word, first_port: Word, port_count: Word) -> Word:
    """Which attempt used source port `port`; port_count or more if the port is out of the range."""
    if port < first_port or port - first_port >= port_count:
        return port_count
    place = port - first_port
    return place - offset if place >= offset else place + port_count - offset


@piece
def whole_bits(values: Word) -> Word:
    """Bits that one of `values` equally likely values is worth, rounded down."""
    bits = np.uint64(0)
    while values > _ONE:
        values >>= _ONE
        bits += _ONE
    return bits


@dataclass(frozen=True, slots=True)
class Tag:
    """What one probe carries, in plain integers."""

    value: int

    @classmethod
    def of(cls, secret: bytes, source: int, target: int, port: int) -> Tag:
        """Addresses as u32. Raises ValueError for a secret that has not 16 bytes."""
        first = (source << 32 | target).to_bytes(8, "little")
        return cls(siphash24(secret, first + port.to_bytes(2, "little")))

    @property
    def sequence(self) -> int:
        return self.value & 0xFFFFFFFF

    def source_port(self, source_ports: tuple[int, int], attempt: int = 0) -> int:
        """`source_ports` is inclusive."""
        first, last = source_ports
        count = last - first + 1
        return first + (((self.value >> 32) * count >> 32) + attempt) % count

    @property
    def echo_id(self) -> int:
        return self.value & 0xFFFF

    def echo_sequence(self, attempt: int = 0) -> int:
        return ((self.value >> 16) + attempt) & 0xFFFF
