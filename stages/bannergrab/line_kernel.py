"""Banner records, rendered by a kernel from rows of ENDED: what `BannerLines` makes of a conversation that ended `ok`.

The parts of a line that are the same for all come as `linebatch.Parts`, by the numbers below.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import texts
from stages.net.blake2b import DIGITS
from stages.net.jit import kernel
from stages.net.linebatch import END, KEY, KEY_END
from stages.net.recordids import common, prefix_end, record_id
from stages.net.texts import base64, flag, hexadecimal, null, number, part_of, quad, seconds, time
from stages.net.wide import copy_bytes

#: Parts, in the order of the line; what stands between two of them comes from the row.
(HEAD, MIDDLE, IP, PORT, PROBE, VIA, PHASE, FIRST, ENDED, SENT, SIZE, TRUNCATED, DATA, SHA256, CONTROL,
 TAIL) = range(16)  # fmt: skip
#: Behind them the names of phases, a part for each number.
PHASES: Final = 16
PHASE_NAMES: Final = 3
#: What the row adds to a line at most, but for the banner itself.
LONGEST: Final = 3 * 32 + 32 + texts.TIME + texts.QUAD + 3 * texts.SECONDS + 3 * 5 + 3 * texts.NUMBER

_DIGEST: Final = 32
_NL = ord("\n")
#: The end of what a hit's id is hashed of: no server name, no mode.
_NO_NAME = np.zeros(2, np.uint8)


@kernel
def render(
    rows: Any,
    body: Any,
    digests: Any,
    hits: Any,
    asked: Any,
    text: Any,
    places: Any,
    leads: Any,
    tail: Any,
    out: Any,
    marks: Any,
) -> Any:
    """Write a line for each of `rows`, and its marks (`stages.net.linebatch`); returns where they end in `out`.

    `body`: the bytes that the rows point into; `digests`: their SHA-256, one behind the other; `hits`: the ids of their
    hits, likewise, none where they are to be made. `leads`: what the hashes of the records' ids begin with, and those
    of their hits'; `tail`: what the former end with."""
    mine, theirs = leads
    ours, hit = common(mine), common(theirs)
    at = np.int64(0)
    for i in range(rows.size):
        row = rows[i]
        at = part_of(out, at, text, places, HEAD)
        at = record_id(out, at, ours, row.peer, row.peer_port, tail)
        at = time(out, part_of(out, at, text, places, MIDDLE), row.started)
        at = part_of(out, at, text, places, IP)
        marks[i, KEY] = at
        at = quad(out, at, row.peer)
        marks[i, KEY_END] = prefix_end(out, at)
        at = number(out, part_of(out, at, text, places, PORT), row.peer_port)
        at = part_of(out, at, text, places, PROBE)
        if hits.size:
            copy_bytes(out, at, hits, i * DIGITS, DIGITS)
            at += DIGITS
        else:
            at = record_id(out, at, hit, row.peer, row.peer_port, _NO_NAME)
        at = part_of(out, at, text, places, VIA)
        at = part_of(out, at, text, places, PHASES + np.int64(row.phase))
        at = seconds(out, part_of(out, at, text, places, PHASE), row.connected)
        at = seconds(out, part_of(out, at, text, places, FIRST), row.first_byte)
        at = seconds(out, part_of(out, at, text, places, ENDED), row.ended)
        at = number(out, part_of(out, at, text, places, SENT), row.sent)
        at = number(out, part_of(out, at, text, places, SIZE), row.size)
        at = flag(out, part_of(out, at, text, places, TRUNCATED), row.truncated)
        at = base64(out, part_of(out, at, text, places, DATA), body, row.data_at, np.int64(row.data_size))
        at = hexadecimal(out, part_of(out, at, text, places, SHA256), digests, i * _DIGEST, _DIGEST)
        at = part_of(out, at, text, places, CONTROL)
        at = flag(out, at, row.control) if asked else null(out, at)
        at = part_of(out, at, text, places, TAIL)
        out[at] = _NL
        at += 1
        marks[i, END] = at
    return at
