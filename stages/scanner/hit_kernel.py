"""Hit records of TCP answers, rendered by a kernel from rows of ANSWER: what `HitLines` makes of each, many at once.

The parts of a line that are the same for all hits of a scan come as `linebatch.Parts`, by the numbers below.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import texts
from stages.net.jit import kernel
from stages.net.linebatch import END, KEY, KEY_END
from stages.net.recordids import common, prefix_end, record_id
from stages.net.texts import flag, null, number, part_of, quad, seconds, time

#: Parts, in the order of the line; what stands between two of them comes from the row.
(HEAD, MIDDLE, IP, PORT, PROBE, REPEAT, COOLDOWN, ATTEMPT, TTL, RTT, SOURCE, SOURCE_PORT, VALIDATED, BITS, HOST,
 SEQ, ACK, WINDOW, MSS, WSCALE, SACK, TS_VAL, TS_ECR, IPID, TAIL) = range(25)  # fmt: skip
#: Behind them the texts of `kind`, and those of `bound`, a part for each value.
KINDS: Final = 25
BOUNDS: Final = KINDS + 256
#: What the row adds to a line at most.
LONGEST: Final = 32 + texts.TIME + 2 * texts.QUAD + texts.SECONDS + 5 * 5 + 14 * texts.NUMBER

#: The end of what is hashed: no server name, no mode.
_NO_NAME = np.zeros(2, np.uint8)
_NL = ord("\n")


@kernel
def render(answers: Any, text: Any, places: Any, lead: Any, out: Any, marks: Any) -> Any:
    """Write a line for each of `answers`, and its marks (`stages.net.linebatch`); returns where they end in `out`.

    `lead`: what the hashes of all ids begin with."""
    start = common(lead)
    at = np.int64(0)
    for i in range(answers.size):
        row = answers[i]
        at = part_of(out, at, text, places, HEAD)
        at = record_id(out, at, start, row.address, row.port, _NO_NAME)
        at = part_of(out, at, text, places, MIDDLE)
        at = time(out, at, row.ts)
        at = part_of(out, at, text, places, IP)
        marks[i, KEY] = at
        at = quad(out, at, row.address)
        marks[i, KEY_END] = prefix_end(out, at)
        at = number(out, part_of(out, at, text, places, PORT), row.port)
        at = part_of(out, at, text, places, PROBE)
        at = part_of(out, at, text, places, KINDS + np.int64(row.kind))
        at = flag(out, part_of(out, at, text, places, REPEAT), row.repeat)
        at = flag(out, part_of(out, at, text, places, COOLDOWN), row.cooldown)
        at = number(out, part_of(out, at, text, places, ATTEMPT), row.attempt)
        at = number(out, part_of(out, at, text, places, TTL), row.ttl)
        at = seconds(out, part_of(out, at, text, places, RTT), row.rtt)
        at = quad(out, part_of(out, at, text, places, SOURCE), row.daddr)
        at = number(out, part_of(out, at, text, places, SOURCE_PORT), row.dport)
        at = part_of(out, at, text, places, VALIDATED)
        at = part_of(out, at, text, places, BOUNDS + np.int64(row.bound))
        at = number(out, part_of(out, at, text, places, BITS), row.bits)
        at = part_of(out, at, text, places, HOST)
        at = number(out, part_of(out, at, text, places, SEQ), row.seq)
        at = number(out, part_of(out, at, text, places, ACK), row.ack)
        at = number(out, part_of(out, at, text, places, WINDOW), row.window)
        at = part_of(out, at, text, places, MSS)
        at = number(out, at, row.mss) if row.mss else null(out, at)
        at = part_of(out, at, text, places, WSCALE)
        at = number(out, at, row.wscale) if row.wscale >= 0 else null(out, at)
        at = flag(out, part_of(out, at, text, places, SACK), row.sack)
        at = part_of(out, at, text, places, TS_VAL)
        at = number(out, at, row.ts_val) if row.has_ts else null(out, at)
        at = part_of(out, at, text, places, TS_ECR)
        at = number(out, at, row.ts_ecr) if row.has_ts else null(out, at)
        at = number(out, part_of(out, at, text, places, IPID), row.ipid)
        at = part_of(out, at, text, places, TAIL)
        out[at] = _NL
        at += 1
        marks[i, END] = at
    return at
