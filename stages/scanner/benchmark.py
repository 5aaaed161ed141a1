"""`longline scan --benchmark`: how many frames a second this machine builds, how many answers it validates, and how
many a filter of two terms judges.

No packet is sent: what the network and its driver can do is another matter.

The probes are tcp_synscan's; their answers stand in a block as the kernel's ring has them.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from stages.net import ring
from stages.net.checksum import checksum, pseudo_sum, word_sum
from stages.scanner import order as orders
from stages.scanner import probes
from stages.scanner.answers import ANSWER
from stages.scanner.dedup import Seen
from stages.scanner.filters import compile_filter
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.receiver import place
from stages.scanner.settings import DEFAULT_FILTER
from stages.scanner.space import Space

#: Seconds of each figure.
SECONDS: Final = 3.0
#: Targets of the whole IPv4 space a batch, as the sender has it.
BATCH: Final = 1024
#: A slot of the block: struct tpacket3_hdr and sockaddr_ll in front of the frame, aligned (linux/if_packet.h).
_FIRST, _SLOT, _MAC = 48, 160, 82
_ADDRESSES: Final = ((1 << 24, (1 << 32) - 1),)
_OURS: Final = 0x01000001
_PORTS: Final = (32768, 61000)


def _builder() -> tuple[FrameBuilder, orders.Order]:
    space = Space.build(list(_ADDRESSES), (80,))
    order = orders.build(Permutation(space.size, 1), space)
    builder = FrameBuilder(
        space, Permutation(space.size, 1), probes.get("tcp_synscan"), bytes(16), source_ips=(_OURS,),
        source_ports=_PORTS, batch=BATCH, order=order,
    )  # fmt: skip
    return builder, order


def _rate(work: Callable[[int], int], seconds: float, clock: Callable[[], float]) -> float:
    """Items a second of `work(turn)`, which returns how many it did; the first turn, which compiles, is not counted."""
    work(0)
    begin, done, turn = clock(), 0, 1
    while (took := clock() - begin) < seconds or not done:
        done += work(turn)
        turn += 1
    return done / max(took, 1e-9)


def frames(seconds: float = SECONDS, clock: Callable[[], float] = time.perf_counter) -> float:
    """Frames built a second: order, hash and checksums included."""
    builder, _ = _builder()
    return _rate(lambda turn: builder.fill(turn * BATCH, BATCH), seconds, clock)


def synack(probe: bytes) -> bytes:
    """The answer of an open port to a SYN, without options."""
    source, target = struct.unpack_from("!II", probe, 26)
    sport, dport, seq = struct.unpack_from("!HHI", probe, 34)
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 40, 0, 0x4000, 60, 6, 0, target, source)
    ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
    tcp = struct.pack("!HHIIBBHHH", dport, sport, 1, (seq + 1) & 0xFFFFFFFF, 0x50, 0x12, 64240, 0, 0)
    total = pseudo_sum(target, source, 6, len(tcp)) + word_sum(tcp)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return probe[6:12] + probe[:6] + b"\x08\x00" + ip + tcp[:16] + (total ^ 0xFFFF).to_bytes(2, "big") + tcp[18:]


def block_of(packets: list[bytes]) -> Any:
    """A block of the ring (u8) that holds packets of at most 78 bytes."""
    out = np.zeros(ring.BLOCK_BYTES, np.uint8)
    for number, packet in enumerate(packets):
        at = _FIRST + number * _SLOT
        step = _SLOT if number + 1 < len(packets) else 0
        head = struct.pack("=IIIIIIHH", step, 1, 0, len(packet), len(packet), 1, _MAC, _MAC + 14)
        out[at : at + len(head)] = np.frombuffer(head, np.uint8)
        out[at + _MAC : at + _MAC + len(packet)] = np.frombuffer(packet, np.uint8)
    out[:20] = np.frombuffer(struct.pack("=IIIII", 1, 0, 1, len(packets), _FIRST), np.uint8)
    return out


def answers(seconds: float = SECONDS, clock: Callable[[], float] = time.perf_counter) -> float:
    """Answers validated a second, from the block to the dedup."""
    builder, order = _builder()
    module = builder.probe
    builder.fill(0, BATCH)
    block = block_of([synack(builder.frame(row)) for row in range(BATCH)])
    table = np.zeros((ring.MAX_PACKETS, ring.COLUMNS), np.int64)
    out = np.zeros(ring.MAX_PACKETS, ANSWER)
    seen = Seen("full", 1)

    def work(_turn: int) -> int:
        _, rows = ring.packets(block, table)
        found = module.classify(block, table, rows, builder.constants, out)
        kept = int(place(order, out, found, np.uint64(BATCH)))
        seen.mark(out["position"][:kept] * np.uint64(2))
        return kept

    if work(0) != BATCH:
        raise AssertionError("answers to our own probes do not validate")
    return _rate(work, seconds, clock)


def filtered(seconds: float = SECONDS, clock: Callable[[], float] = time.perf_counter) -> float:
    """Answers that ZMap's default filter judges a second, in batches as the ring brings them."""
    wanted = compile_filter(DEFAULT_FILTER, "tcp_synscan")
    batch = np.zeros(BATCH, ANSWER)
    batch["kind"], batch["repeat"] = np.arange(BATCH) % 4, np.arange(BATCH) % 3 == 0

    def work(_turn: int) -> int:
        return len(wanted.mask(batch))

    return _rate(work, seconds, clock)
