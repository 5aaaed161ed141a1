"""What a probe module is: a name, a frame template, a kernel that fills frames, a kernel filter for the answers, a
kernel that reads them, and the fields it yields. One file each in this folder, one line each in `probes/__init__.py`.

    fill(words, address, port, constants, source, tags)
        rows of frames as u64 (native) words; targets (u64 arrays, one for `constants.probes` rows); `frames.Constants`;
        two scratch arrays of a u64 a row. Writes big-endian words 2 to 6 of each row. Row j of a target is attempt
        `constants.first_attempt + j`. A module whose frames differ in length (`lengths`) gets one more argument, an
        i64 array, and fills in the bytes of each row; it writes nothing behind byte `max_length` of a row.

    classify(data, table, count, constants, out) -> rows written
        `data` u8: a block of the ring; `table`: its packets (`stages.net.ring`, columns IP, END, TIME, FINISHED);
        writes a row of ANSWER (`stages.scanner.answers`) for each packet that validates: attempts below
        `constants.attempts` do. The position, the round-trip time, and the flags `repeat` and `cooldown` are the
        receiver's. No load may be outside `data[ip : end]` of a packet: numba checks no bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

#: An answer from a port that was not probed is tried against so many ports of the scan: each one tried is another
#: chance for a forgery to fit.
MAX_OTHER_PORTS: Final = 16

#: A numba kernel.
Kernel: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class ProbeModule:
    """One kind of probe, with its arguments applied."""

    name: str
    args: str  #: as given by --probe-args, "" for the default
    uses_ports: bool  #: False: `-p` is refused, the space has the single port 0
    fields: tuple[str, ...]  #: output fields of its own (ZMap's names)
    template: bytes  #: a whole Ethernet frame, zeros in every field that is filled in
    pseudo_sum: int  #: what the pseudo-header's constant part adds to the layer 4 checksum
    stamp_at: int | None  #: offset of a TCP timestamp value in the frame
    fill: Kernel
    classify: Kernel
    filter: Callable[[tuple[int, int]], bytes]  #: source ports (inclusive) -> classic BPF program
    max_length: int = 0  #: bytes of the largest frame; 0: len(template)
    lengths: bool = False  #: frames differ in length: `fill` takes and fills an array of them
    data: bool = False  #: answers carry bytes of the packet (`data_at`, `data_size` of ANSWER)

    def __post_init__(self) -> None:
        if not self.max_length:
            object.__setattr__(self, "max_length", len(self.template))
