"""`--pcap FILE`: the packets that passed the kernel's filter, and with `--pcap-sent` the probes too, as a pcap file.

The classic format (draft-ietf-opsawg-pcap) with its magic for nanoseconds, little-endian. A block of the ring, or a
batch of frames, becomes records in one kernel call and one write. Of a received packet there is what the filter keeps
(every header of an answer); the record tells its whole length.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import numpy as np

from stages.net import ring
from stages.net.jit import kernel, piece
from stages.net.packetsocket import Rows, Wire

_HEADER: Final = struct.Struct("<IHHiIII")
_NANOSECONDS: Final = 0xA1B23C4D
_VERSION: Final = (2, 4)
_SNAP: Final = 1 << 16
#: LINKTYPE_ETHERNET; LINKTYPE_RAW: packets begin with their IP header.
ETHERNET: Final = 1
RAW: Final = 101
_RECORD: Final = 16

# Offsets in struct tpacket_block_desc and struct tpacket3_hdr (linux/if_packet.h).
_COUNT, _FIRST, _NEXT, _SECONDS, _NANOS, _CAPTURED, _LENGTH, _MAC = 12, 16, 0, 4, 8, 12, 16, 24
_GIGA: Final = 1_000_000_000


@piece
def _load(data: Any, at: Any) -> Any:
    return (
        np.int64(data[at]) | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2]) << 16 | np.int64(data[at + 3]) << 24
    )


@piece
def _store(out: Any, at: Any, value: Any) -> None:
    for i in range(4):
        out[at + i] = value >> (8 * i) & 255


@piece
def _head(out: Any, at: Any, seconds: Any, nanoseconds: Any, captured: Any, length: Any) -> None:
    _store(out, at, seconds)
    _store(out, at + 4, nanoseconds)
    _store(out, at + 8, captured)
    _store(out, at + 12, length)


@kernel
def of_block(block: Any, out: Any) -> Any:
    """Records of every packet of a ring's block (u8) into `out` (u8, as large); returns their bytes."""
    size, at = np.int64(0), _load(block, _FIRST)
    for _ in range(_load(block, _COUNT)):
        captured = _load(block, at + _CAPTURED)
        frame = at + np.int64(block[at + _MAC]) + (np.int64(block[at + _MAC + 1]) << 8)
        _head(out, size, _load(block, at + _SECONDS), _load(block, at + _NANOS), captured, _load(block, at + _LENGTH))
        size += _RECORD
        for i in range(captured):
            out[size + i] = block[frame + i]
        size += captured
        at += _load(block, at + _NEXT)
    return size


@kernel
def of_rows(memory: Any, start: Any, stride: Any, lengths: Any, less: Any, now: Any, out: Any) -> Any:
    """Records of the frames memory[start + i * stride:] of lengths[i] - less bytes, all at `now` (ns)."""
    size = np.int64(0)
    for i in range(lengths.size):
        length = lengths[i] - less
        _head(out, size, now // _GIGA, now % _GIGA, length, length)
        size += _RECORD
        for k in range(length):
            out[size + k] = memory[start + i * stride + k]
        size += length
    return size


class _Handed:
    """What is written, handed to a function; and into a file, if there is one."""

    def __init__(self, file: BinaryIO | None, also: Callable[[bytes], object]) -> None:
        self._file, self._also = file, also

    def write(self, data: bytes | memoryview) -> None:
        if self._file is not None:
            self._file.write(data)
        self._also(bytes(data))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Pcap:
    """A file that is written from several threads. Raises OSError as files do."""

    def __init__(self, file: BinaryIO | _Handed) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._out = np.zeros(ring.BLOCK_BYTES, np.uint8)

    @classmethod
    def open(cls, path: str) -> Pcap:
        """Begins the file anew. Raises OSError."""
        return cls(open(path, "wb"))

    @classmethod
    def of(cls, path: str | None, also: Callable[[bytes], object] | None) -> Pcap | None:
        """Into a file, to a function, both or neither (None). Raises OSError."""
        if also is None:
            return None if path is None else cls.open(path)
        return cls(_Handed(None if path is None else open(path, "wb"), also))

    def begin(self, linktype: int = ETHERNET) -> None:
        self._file.write(_HEADER.pack(_NANOSECONDS, *_VERSION, 0, 0, _SNAP, linktype))
        of_block(np.zeros(ring.BLOCK_BYTES, np.uint8), self._out)  # compiles or loads it

    def block(self, block: Any) -> None:
        """What was received."""
        with self._lock:
            self._write(of_block(block, self._out))

    def rows(self, rows: Rows, block: int, first: int, count: int, now: int) -> None:
        """What was sent: rows first .. first + count - 1 of a block; `now` in nanoseconds since the epoch."""
        _, of_one, stride = rows.blocks.shape
        memory = rows.blocks.reshape(-1)
        lengths = rows.lengths[first : first + count] if rows.lengths is not None else np.full(count, rows.length)
        start = (block * of_one + first) * stride + rows.offset
        with self._lock:
            need = int(lengths.sum()) + count * (_RECORD - min(rows.offset, 0))
            if self._out.size < need:
                self._out = np.zeros(need, np.uint8)
            self._write(of_rows(memory, start, stride, lengths, rows.offset, now, self._out))

    def _write(self, size: int) -> None:
        if size:
            self._file.write(self._out[:size].data)

    def close(self) -> None:
        """Idempotent."""
        self._file.close()


class Recorded:
    """A wire whose frames are written down as they leave (a `Wire`)."""

    def __init__(self, wire: Wire, rows: Rows, pcap: Pcap) -> None:
        self._wire = wire
        self._rows = rows
        self._pcap = pcap
        self._block = 0

    @property
    def refused(self) -> int:
        return self._wire.refused

    @refused.setter
    def refused(self, value: int) -> None:
        self._wire.refused = value

    def free(self) -> int:
        block = self._wire.free()
        self._block = max(block, 0)
        return block

    def send(self, first: int, count: int) -> tuple[int, int]:
        now = time.time_ns()
        sent, number = self._wire.send(first, count)
        if sent:
            self._pcap.rows(self._rows, self._block, first, sent, now)
        return sent, number

    def drain(self) -> bool:
        return self._wire.drain()

    def close(self) -> None:
        self._wire.close()
