"""Frames: from positions of the scan to bytes on the wire, a batch at a time.

A batch is an array of rows, each a copy of the probe module's template. The kernels write only the words that differ:
`order.targets` says whom to probe, the module's fill kernel hashes (source, target, port) under the scan's secret,
and writes addresses, ports, sequence number and checksums as whole big-endian words. The sums over what is constant
are made here once.

    offset   0 ........ 14 ................... 34 ................
             Ethernet   IPv4 without options   TCP or ICMP
    words         2: length, id, fragment, TTL, protocol     3: checksum, source, target (upper half)
                  4: target (lower half), then layer 4       5, 6: layer 4

The kernels always see an untagged Ethernet frame at the start of a row. With a VLAN tag the MACs begin four bytes
before it (at the end of the row before, which no frame reaches); without a link header what is sent begins at byte 14.
The rows stand in blocks: one is filled while others are on their way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stages.net import headers
from stages.net.checksum import word_sum
from stages.net.siphash import key_words
from stages.scanner import order as orders
from stages.scanner.permutation import Permutation
from stages.scanner.probes.base import MAX_OTHER_PORTS, ProbeModule
from stages.scanner.space import Space

#: Rows begin on cache lines (all but those with a VLAN tag), and none crosses the border of a page: a power of two.
_ROW_ALIGN: Final = 64
#: What stands in front of the first row, so that it looks like the others: a tag and, for the words, four bytes more.
_TAG_LEAD: Final = 8
_WORDS: Final = range(2, 7)  # the words that a fill kernel may write
_IP: Final = headers.ETHERNET_BYTES
_L4: Final = _IP + headers.IPV4_BYTES
_TTL: Final = _IP + 8


class Constants(NamedTuple):
    """What a fill kernel needs besides the targets. All u64."""

    k0: Any  # the secret
    k1: Any
    sources: Any  # array: our addresses; target t is probed from sources[(t + attempt) % len]
    first_port: Any  # our first source port, and how many there are
    port_count: Any
    probes: Any  # rows for each target
    words: Any  # six words: template words 2 .. 6 with zeros where the kernel writes, then 0
    ip_sum: Any  # checksum sums of the constant parts
    l4_sum: Any
    first_attempt: Any = np.uint64(0)  # number of the first of the rows of each target
    attempts: Any = np.uint64(1)  # attempts below this are answered
    ports: Any = np.zeros(0, np.uint64)  # array: ports of the scan that an answer from another port may belong to
    milliseconds: Any = np.uint64(0)  # since the epoch, when the frames are filled


def plain_memory(size: int) -> npt.NDArray[np.uint8]:
    """Zeros, `size` bytes from the start of a cache line on."""
    memory = np.zeros(size + _ROW_ALIGN, np.uint8)
    start = -memory.ctypes.data % _ROW_ALIGN
    return memory[start : start + size]


class FrameBuilder:
    """Fills rows for positions (`stages.net.packetsocket.Rows`). `frames` (u8) are the rows of the block filled last;
    each begins with an untagged Ethernet frame of `length` bytes, or of its own of `lengths`."""

    def __init__(
        self,
        space: Space,
        permutation: Permutation,
        probe: ProbeModule,
        secret: bytes,
        *,
        source_ips: tuple[int, ...],
        source_ports: tuple[int, int],
        source_mac: bytes = headers.NO_MAC,
        gateway_mac: bytes = headers.NO_MAC,
        vlan: int | None = None,
        link_header: bool = True,
        ttl: int = 64,
        probes: int = 1,
        retries: int = 0,
        batch: int = 64,
        blocks: int = 1,
        allocate: Callable[[int], npt.NDArray[np.uint8]] = plain_memory,
        order: orders.Order | None = None,
    ) -> None:
        """`batch` targets at a time, `probes` rows each. `source_ports` inclusive. `link_header` False: what is sent
        begins with the IPv4 header. `allocate` gives the memory for all blocks. Raises ValueError."""
        template = bytearray(probe.template)
        template[:12] = gateway_mac + source_mac
        template[_TTL] = ttl
        self.probe = probe
        self.length = len(template)
        #: Bytes of each row of this block (i64); None: all have `length`.
        self.lengths: npt.NDArray[np.int64] | None = None
        if probe.lengths:
            self.lengths = np.full(batch * probes, self.length, np.int64)
        self.batch = batch
        lead = 0 if vlan is None else _TAG_LEAD
        longest = max(self.length, probe.max_length)
        stride = max(1 << (longest + lead - 1).bit_length(), _ROW_ALIGN)
        padded = bytes(template).ljust(stride, b"\0")
        rows = batch * probes
        self.memory = allocate(blocks * rows * stride + lead)
        self.blocks: npt.NDArray[np.uint8] = self.memory[lead : lead + blocks * rows * stride].reshape(
            blocks, rows, stride
        )
        self.blocks[:] = np.frombuffer(padded, np.uint8)
        self.offset = 0 if link_header else _IP
        if vlan is not None:
            self.offset = -headers.VLAN_TAG_BYTES
            self._tag(headers.vlan_header(gateway_mac, source_mac, vlan), lead)
        self.frames: npt.NDArray[np.uint8] = self.blocks[0]
        self._by_block = [(block, block.view(np.uint64)) for block in self.blocks]
        self._hash = np.empty(batch * probes, np.uint64)
        self._source = np.empty(batch * probes, np.uint64)
        self.address: npt.NDArray[np.uint64] = np.empty(batch, np.uint64)
        self.port: npt.NDArray[np.uint64] = np.empty(batch, np.uint64)
        self._order = orders.build(permutation, space) if order is None else order
        self._probes = probes
        self._there: npt.NDArray[np.int64] | None = None  # targets that have rows still; None: all
        k0, k1 = key_words(secret)
        self.constants = Constants(
            k0=np.uint64(k0),
            k1=np.uint64(k1),
            sources=np.array(source_ips, np.uint64),
            first_port=np.uint64(source_ports[0]),
            port_count=np.uint64(source_ports[1] - source_ports[0] + 1),
            probes=np.uint64(probes),
            words=tuple(np.uint64(int.from_bytes(padded[8 * i : 8 * i + 8], "big")) for i in _WORDS),
            ip_sum=np.uint64(word_sum(bytes(template[_IP:_L4]))),
            l4_sum=np.uint64(word_sum(bytes(template[_L4:])) + probe.pseudo_sum),
            attempts=np.uint64(probes * (retries + 1)),
            ports=np.array(space.ports[:MAX_OTHER_PORTS], np.uint64),
        )

    def fill(self, first: int, count: int, milliseconds: int = 0, attempt: int = 0, block: int = 0) -> int:
        """Rows for positions first .. first + count - 1 (count <= batch): each target's probes are neighbours.

        `milliseconds` is what a probe with a TCP timestamp carries; `attempt` is the number of a target's first row.
        Returns the number of rows.
        """
        self._there = None
        address, port = self.address[:count], self.port[:count]
        orders.targets(self._order, np.uint64(first), address, port)
        return self.write(address, port, milliseconds, attempt, block)

    def write(
        self,
        address: npt.NDArray[np.uint64],
        port: npt.NDArray[np.uint64],
        milliseconds: int = 0,
        attempt: int = 0,
        block: int = 0,
    ) -> int:
        """As `fill`, for these targets."""
        rows = address.size * self._probes
        self.frames, words = self._by_block[block]
        constants = self.constants._replace(milliseconds=np.uint64(milliseconds), first_attempt=np.uint64(attempt))
        if self.probe.stamp_at is not None:
            value = (milliseconds & 0xFFFFFFFF).to_bytes(4, "big")
            at = self.probe.stamp_at
            self.frames[:rows, at : at + 4] = np.frombuffer(value, np.uint8)
            constants = constants._replace(l4_sum=constants.l4_sum + np.uint64(word_sum(value)))
        scratch = self._source[:rows], self._hash[:rows]
        if self.lengths is None:
            self.probe.fill(words[:rows], address, port, constants, *scratch)
        else:
            self.probe.fill(words[:rows], address, port, constants, *scratch, self.lengths[:rows])
        return rows

    def close_up(self, gone: npt.NDArray[np.bool_], block: int = 0) -> int:
        """Take the rows of targets out of what was filled: of those where `gone`, one entry a target filled. Returns
        how many rows are left."""
        there = np.arange(gone.size) if self._there is None else self._there
        keep = ~gone[there]
        rows = np.repeat(keep, self._probes)
        kept = int(rows.sum())
        self.frames[:kept] = self.frames[: rows.size][rows]
        if self.lengths is not None:
            self.lengths[:kept] = self.lengths[: rows.size][rows]
        self._there = there[keep]
        return kept

    def targets_of(self, rows: int) -> bytes:
        """Six bytes for each of the filled rows: the target's address and port in network order."""
        records = np.empty(rows, [("address", ">u4"), ("port", ">u2")])
        records["address"] = np.repeat(self.address, self._probes)[:rows]
        records["port"] = np.repeat(self.port, self._probes)[:rows]
        return records.tobytes()

    def frame(self, row: int) -> bytes:
        """One row of the block filled last, as it is sent (dry runs, tests)."""
        length = self.length if self.lengths is None else int(self.lengths[row])
        start = self.frames.ctypes.data - self.memory.ctypes.data + row * self.frames.shape[1]
        return self.memory[start + self.offset : start + length].tobytes()

    def _tag(self, header: bytes, lead: int) -> None:
        """Write a header with a VLAN tag, which begins before its row, into every row."""
        tag = headers.VLAN_TAG_BYTES
        early, rest = np.frombuffer(header[:tag], np.uint8), np.frombuffer(header[tag : tag + 12], np.uint8)
        self.blocks[:, :, :12] = rest
        self.blocks[:, :, -tag:] = early
        self.memory[lead - tag : lead] = early
