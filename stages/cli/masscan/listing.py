"""`masscan -sL`: the targets in the order of the scan, a line each.

10.0.0.1    10.0.0.1:80    10.0.0.1:U:53    10.0.0.1:I:0       (the port where one was named, as masscan has it)
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

import numpy as np

from stages.core.errors import UsageError
from stages.scanner import order as orders
from stages.scanner.parts import SHIFT
from stages.scanner.permutation import Permutation
from stages.scanner.prepare import Prepared

_PREFIX: Final = {"tcp": "", "udp": "U:", "icmp": "I:"}
#: Targets looked up at once.
_BATCH: Final = 4096


def write_targets(prepared: Prepared, write: Callable[[str], object], *, ports: bool) -> None:
    """All of them. Raises UsageError for IPv6, whose order `longline iterate` shows, and what `write` raises."""
    names = [_PREFIX[part.transport] for part in prepared.parts]
    for piece in prepared.slices:
        if piece.version == 6:
            raise UsageError("-sL", None, "IPv6 targets are listed by longline iterate")
        space = prepared.targets.space(prepared.ports)
        order = orders.build(Permutation(space.size, prepared.spec.seed), space, piece.shard, piece.shards)
        address, port = np.empty(_BATCH, np.uint64), np.empty(_BATCH, np.uint64)
        for first in range(piece.first, piece.last, _BATCH):
            count = min(_BATCH, piece.last - first)
            orders.targets(order, np.uint64(first), address[:count], port[:count])
            lines = []
            for ip, slot in zip(address[:count].tolist(), port[:count].tolist(), strict=True):
                where = f":{names[slot >> SHIFT]}{slot & (1 << SHIFT) - 1}" if ports else ""
                lines.append(f"{IPv4Address(ip)}{where}\n")
            write("".join(lines))
