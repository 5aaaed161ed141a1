"""Ids of records in kernels: the hash of what all records of one kind have in common, a target, and an end.

They are those of `stages.core.records.record_id`, as hexadecimal digits, put where the line has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.net.blake2b import begin, finish, scratch
from stages.net.jit import piece
from stages.net.texts import number, quad, word
from stages.net.wide import copy_bytes

_DOT = ord(".")


@piece
def common(lead: Any) -> Any:
    """What `record_id` goes on from, hashed once: `lead` is what all messages begin with."""
    work, state = scratch(), np.zeros(8, np.uint64)
    return lead, state, begin(state, lead, work), work


@piece
def record_id(out: Any, at: Any, start: Any, address: Any, port: Any, tail: Any) -> Any:
    """The digits of one id, at `at` of `out`; where they end. `tail`: the message's end behind the port."""
    lead, state, done, work = start
    data = work[1]
    rest = lead.size - done
    copy_bytes(data, 0, lead, done, rest)
    size = quad(data, rest, address)
    data[size] = 0
    size = number(data, size + 1, port)
    copy_bytes(data, size, tail, 0, tail.size)
    low, high = finish(state, done, size + tail.size, work)
    return word(out, word(out, at, low), high)


@piece
def prefix_end(out: Any, at: Any) -> Any:
    """Where the key of a dotted quad that ends at `at` ends: at its last dot (`stages.core.records.prefix_key`)."""
    at -= 1
    while out[at] != _DOT:
        at -= 1
    return at
