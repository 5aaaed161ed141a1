"""The targets of a scan in its order, as lines or as bytes: what `longline iterate` prints. Nothing is sent.

    text     10.0.0.1 or, with ports, 10.0.0.1,80
    binary   six bytes each: address and port, both in network order (RFC 791, appendix B)

Kernels fill large buffers, in as many threads as are asked for; one thread writes them out in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stages.core.errors import UsageError
from stages.net.jit import kernel
from stages.scanner.order import Order, build, targets
from stages.scanner.permutation import Permutation
from stages.scanner.prepare import Prepared, Slice

#: Targets of one buffer: some megabytes, so that handing it over costs nothing.
CHUNK: Final = 1 << 18
#: Targets that the kernels look up at once: their arrays stay in the first-level cache.
_BLOCK: Final = 1024
#: IPv6 targets rendered at once.
_LINES: Final = 4096

#: `255.255.255.255,65535` and the line's end.
_LINE_BYTES: Final = 22
_TARGET_BYTES: Final = 6

_BLOCK_N = np.int64(_BLOCK)
_BYTE, _S8, _S16, _LOW16 = np.uint64(0xFF), np.uint64(8), np.uint64(16), np.uint64(0xFFFF)
_ZERO, _NEWLINE, _DOT, _COMMA = np.uint8(48), np.uint8(10), np.uint8(46), np.uint8(44)

#: The digits of the numbers 0 to 255, and how many there are.
_DIGITS = np.array([[ord(digit) for digit in str(octet).ljust(3)] for octet in range(256)], np.uint8)
_SIZES = np.array([len(str(octet)) for octet in range(256)], np.int64)


@kernel
def _binary(order: Any, first: Any, count: Any, address: Any, port: Any, out: Any) -> Any:
    """Six bytes a target into `out`, an array of u16 in network order; returns the bytes."""
    done: Any = 0
    while done < count:
        size = min(count - done, _BLOCK_N)
        targets(order, first + np.uint64(done), address[:size], port[:size])
        for i in range(size):
            value, number = address[i], port[i]
            high, low = value >> _S16, value & _LOW16
            at = 3 * (done + i)
            out[at] = ((high & _BYTE) << _S8) | (high >> _S8)
            out[at + 1] = ((low & _BYTE) << _S8) | (low >> _S8)
            out[at + 2] = ((number & _BYTE) << _S8) | (number >> _S8)
        done += size
    return 6 * count


@kernel
def _text(
    order: Any, first: Any, count: Any, address: Any, port: Any, ports: Any, digits: Any, sizes: Any, out: Any
) -> Any:
    """A line a target into `out` (u8), with its port if `ports`; returns the bytes."""
    done: Any = 0
    at: Any = 0
    while done < count:
        size = min(count - done, _BLOCK_N)
        targets(order, first + np.uint64(done), address[:size], port[:size])
        for i in range(size):
            value = np.int64(address[i])
            for shift in (24, 16, 8, 0):
                octet = (value >> shift) & 255
                for j in range(3):
                    out[at + j] = digits[octet, j]
                at += sizes[octet]
                out[at] = _DOT
                at += 1
            if ports:
                out[at - 1] = _COMMA
                number = np.int64(port[i])
                length = 1 + (number > 9) + (number > 99) + (number > 999) + (number > 9999)
                for j in range(length):
                    out[at + length - 1 - j] = _ZERO + np.uint8(number % 10)
                    number //= 10
                at += length + 1
            out[at - 1] = _NEWLINE
        done += size
    return at


class _Buffer:
    """The arrays of one chunk."""

    def __init__(self, binary: bool) -> None:
        size = CHUNK * _TARGET_BYTES if binary else CHUNK * _LINE_BYTES + _TARGET_BYTES
        self._address = np.empty(_BLOCK, np.uint64)
        self._port = np.empty(_BLOCK, np.uint64)
        self._bytes: npt.NDArray[np.uint8] = np.empty(size, np.uint8)
        self._binary = binary

    def fill(self, order: Order, first: int, count: int, ports: bool) -> memoryview:
        arguments = (order, np.uint64(first), count, self._address, self._port)
        if self._binary:
            size: Any = _binary(*arguments, self._bytes.view(">u2").view(np.uint16))
        else:
            size = _text(*arguments, ports, _DIGITS, _SIZES, self._bytes)
        return self._bytes[:size].data


def iterate(prepared: Prepared, write: Callable[[memoryview | bytes], object], *, binary: bool, ports: bool) -> int:
    """Write all targets of a prepared scan, in order; returns how many. `ports`: lines name them.

    Raises UsageError for IPv6 targets in binary, and what `write` raises.
    """
    count = 0
    for part in prepared.slices:
        if part.version == 4:
            for data in _chunks(prepared, part, binary, ports):
                write(data)
        elif binary:
            raise UsageError("--binary", None, "six bytes have no room for an IPv6 target")
        else:
            for text in _ipv6(prepared, part, ports):
                write(text.encode())
        count += part.last - part.first
    return count


def _chunks(prepared: Prepared, part: Slice, binary: bool, ports: bool) -> Iterator[memoryview]:
    space = prepared.targets.space(prepared.ports)
    order = build(Permutation(space.size, prepared.spec.seed), space, part.shard, part.shards)
    threads = prepared.settings.sender_threads
    # One more than threads: it is written while they work.
    free = deque(_Buffer(binary) for _ in range(threads + 1))
    under_way: deque[tuple[_Buffer, Future[memoryview]]] = deque()
    with ThreadPoolExecutor(threads, "iterate") as pool:
        try:
            first = part.first
            while first < part.last or under_way:
                while first < part.last and free:
                    size = min(CHUNK, part.last - first)
                    buffer = free.popleft()
                    under_way.append((buffer, pool.submit(buffer.fill, order, first, size, ports)))
                    first += size
                buffer, future = under_way.popleft()
                yield future.result()
                free.append(buffer)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _ipv6(prepared: Prepared, part: Slice, ports: bool) -> Iterator[str]:
    space = prepared.targets.v6
    permutation = Permutation(part.size, prepared.spec.seed)
    for first in range(part.first, part.last, _LINES):
        own = np.arange(first, min(first + _LINES, part.last), dtype=np.uint64)
        indexes = permutation.at(own * np.uint64(part.shards) + np.uint64(part.shard)).tolist()
        found = map(space.at, indexes)
        yield "".join(f"{host},{port}\n" if ports else f"{host}\n" for host, port in found)
