"""Output module `extended_file`: what ZMap 1 wrote for forge-socket, a row an answer, cells parted by `, `.

    response, saddr, daddr, sport, dport, seq, ack, in_cooldown, is_repeat, timestamp
    synack, 192.0.2.1, 10.0.0.9, 80, 40555, 3050964427, 3515084203, 0, 0,2013-08-15 18:55:47.681

That is its order, whatever `-f` says, and no blank before the time. forge-socket reads the first nine and takes rows of
`synack` whose `is_repeat` is 0. What is unknown is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stages.scanner.fields import old_timestamp
from stages.scanner.outputs.base import Format
from stages.scanner.rows import Answer, address_text

HEADER: Final = "response, saddr, daddr, sport, dport, seq, ack, in_cooldown, is_repeat, timestamp"


class ExtendedFile:
    """ZMap 1's extended rows."""

    def __init__(self, wanted: Format) -> None:
        self._header = wanted.header_row

    def begin(self) -> bytes:
        return f"{HEADER}\n".encode() if self._header else b""

    def render(self, answers: Sequence[Answer]) -> bytes:
        return "".join(map(_row, answers)).encode()


def _row(a: Answer) -> str:
    return (
        f"{a.classification}, {address_text(a.address)}, {address_text(a.daddr or 0)}, {a.port}, {a.dport or 0}, "
        f"{a.seq or 0}, {a.ack or 0}, {a.cooldown}, {a.repeat},{old_timestamp(a)}\n"
    )
