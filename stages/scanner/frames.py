"""Frames: from positions of the scan to bytes on the wire, a batch at a time.

A batch is an array of rows, each a copy of the probe module's template. The kernels write only the words that differ:
`order.targets` says whom to probe, the module's fill kernel hashes (source, target, port) under the scan's secret,
and writes addresses, ports, sequence number and checksums as whole big-endian words. The sums over what is constant
are made here once.

    offset   0 ........ 14 ................... 34 ................
             Ethernet   IPv4 without options   TCP or ICMP
    words         2: length, id, fragment, TTL, protocol     3: checksum, source, target (upper half)
                  4: target (lower half), then layer 4       5, 6: layer 4
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stages.net import headers
from stages.net.checksum import word_sum
from stages.net.siphash import key_words
from stages.scanner import order as orders
from stages.scanner.permutation import Permutation
from stages.scanner.probes.base import ProbeModule
from stages.scanner.space import Space

#: Rows begin on cache lines.
_ROW_ALIGN: Final = 64
#: An answer from a port that was not probed is tried against so many ports of the scan: each one tried is another
#: chance for a forgery to fit.
MAX_OTHER_PORTS: Final = 16
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


class FrameBuilder:
    """Fills rows for positions. `frames` (u8) has `rows` rows; the first `length` bytes of each are the frame, or as
    many as `lengths` says of each row."""

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
        ttl: int = 64,
        probes: int = 1,
        batch: int = 64,
        order: orders.Order | None = None,
    ) -> None:
        """`batch` targets at a time, `probes` rows each. `source_ports` inclusive. Raises ValueError."""
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
        stride = -(-max(probe.max_length, _ROW_ALIGN) // _ROW_ALIGN) * _ROW_ALIGN
        row = np.frombuffer(bytes(template).ljust(stride, b"\0"), np.uint8)
        self.frames: npt.NDArray[np.uint8] = np.tile(row, (batch * probes, 1))
        self._words = self.frames.view(np.uint64)
        self._hash = np.empty(batch * probes, np.uint64)
        self._source = np.empty(batch * probes, np.uint64)
        self.address: npt.NDArray[np.uint64] = np.empty(batch, np.uint64)
        self.port: npt.NDArray[np.uint64] = np.empty(batch, np.uint64)
        self._order = orders.build(permutation, space) if order is None else order
        self._probes = probes
        padded = bytes(template).ljust(stride, b"\0")
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
            attempts=np.uint64(probes),
            ports=np.array(space.ports[:MAX_OTHER_PORTS], np.uint64),
        )

    def fill(self, first: int, count: int, milliseconds: int = 0) -> int:
        """Rows for positions first .. first + count - 1 (count <= batch): each target's probes are neighbours.

        `milliseconds` is what a probe with a TCP timestamp carries. Returns the number of rows.
        """
        address, port = self.address[:count], self.port[:count]
        orders.targets(self._order, np.uint64(first), address, port)
        rows = count * self._probes
        constants = self.constants._replace(milliseconds=np.uint64(milliseconds))
        if self.probe.stamp_at is not None:
            value = (milliseconds & 0xFFFFFFFF).to_bytes(4, "big")
            at = self.probe.stamp_at
            self.frames[:rows, at : at + 4] = np.frombuffer(value, np.uint8)
            constants = constants._replace(l4_sum=constants.l4_sum + np.uint64(word_sum(value)))
        arguments = (self._words[:rows], address, port, constants, self._source[:rows], self._hash[:rows])
        if self.lengths is None:
            self.probe.fill(*arguments)
        else:
            self.probe.fill(*arguments, self.lengths[:rows])
        return rows

    def targets_of(self, rows: int) -> bytes:
        """Six bytes for each of the filled rows: the target's address and port in network order."""
        records = np.empty(rows, [("address", ">u4"), ("port", ">u2")])
        records["address"] = np.repeat(self.address, self._probes)[:rows]
        records["port"] = np.repeat(self.port, self._probes)[:rows]
        return records.tobytes()

    def frame(self, row: int) -> bytes:
        """One filled row as bytes (dry runs, tests)."""
        length = self.length if self.lengths is None else int(self.lengths[row])
        return self.frames[row, :length].tobytes()
