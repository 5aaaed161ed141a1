"""Bytes of connections: chains of chunks from one pool, and what was received out of order, written in place. Pure.

Bytes received stand at their place in the chain, also those behind a gap; `ranges` says which of these are there. So
reordering, overlap and duplicates are the same to it. A chain begins at byte `in_from` of the peer's stream.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.net import tcp
from stages.net.jit import part, piece
from stages.net.sequence import gap
from stages.net.wide import copy_bytes

_FREE, _TOP, _CHUNKS_USED = tcp.FREE_CHUNK, tcp.TOP_CHUNK, tcp.CHUNKS_USED
_NOWHERE, _CHUNK, _RANGES = tcp.NOWHERE, tcp.CHUNK, tcp.RANGES


@piece
def take_chunk(t: Any) -> Any:
    """A chunk that nobody has, NOWHERE."""
    chunk = t.now[_FREE]
    if chunk != _NOWHERE:
        t.now[_FREE] = t.links[chunk]
    elif t.now[_TOP] < t.links.size:
        chunk = t.now[_TOP]
        t.now[_TOP] += 1
    else:
        return chunk
    t.now[_CHUNKS_USED] += 1
    t.links[chunk] = _NOWHERE
    return chunk


@piece
def give_chunk(t: Any, chunk: Any) -> Any:
    """Give a chunk back; returns the one behind it in its chain."""
    behind = t.links[chunk]
    t.links[chunk] = t.now[_FREE]
    t.now[_FREE] = chunk
    t.now[_CHUNKS_USED] -= 1
    return behind


@piece
def free_room(t: Any) -> Any:
    """Bytes that the pool can still take."""
    return (t.links.size - t.now[_CHUNKS_USED]) * _CHUNK


@part
def give_in(t: Any, c: Any) -> None:
    """Give back all that was received."""
    chunk = c.in_head
    while chunk != _NOWHERE:
        chunk = give_chunk(t, chunk)
    c.in_head = c.in_here = _NOWHERE


@part
def give_out(t: Any, c: Any) -> None:
    """Give back what was to be said."""
    chunk = c.out_head
    while chunk != _NOWHERE:
        chunk = give_chunk(t, chunk)
    c.out_head = c.out_tail = _NOWHERE


@part
def write_in(t: Any, c: Any, offset: Any, data: Any, first: Any, size: Any) -> Any:
    """Put data[first:first + size] at byte `offset` of the peer's stream, which is not before RCV.NXT.

    Returns how many bytes found room."""
    if c.in_head == _NOWHERE:
        head = take_chunk(t)
        if head == _NOWHERE:
            return 0
        c.in_head = c.in_here = head
        c.in_from = c.in_at = c.given
    chunk, base = c.in_here, np.int64(c.in_at)
    done = 0
    while done < size:
        while offset + done >= base + _CHUNK:
            behind = t.links[chunk]
            if behind == _NOWHERE:
                behind = take_chunk(t)
                if behind == _NOWHERE:
                    return done
                t.links[chunk] = behind
            chunk = behind
            base += _CHUNK
        at = offset + done - base
        count = min(_CHUNK - at, size - done)
        copy_bytes(t.pool[chunk], at, data, first + done, count)
        done += count
    return done


@piece
def settle(t: Any, c: Any, offset: Any) -> None:
    """Bytes before `offset` are all there: move on to the chunk that it is in, as far as there is one."""
    if c.in_head == _NOWHERE:
        return
    while offset >= c.in_at + _CHUNK and t.links[c.in_here] != _NOWHERE:
        c.in_here = t.links[c.in_here]
        c.in_at += _CHUNK


@part
def copy_in(t: Any, c: Any, start: Any, until: Any, out: Any, at: Any) -> None:
    """Copy bytes start .. until - 1 of the peer's stream, which are in the chain, into out[at:]."""
    chunk, base = c.in_head, np.int64(c.in_from)
    while start < until:
        while start >= base + _CHUNK:
            chunk = t.links[chunk]
            base += _CHUNK
        first = start - base
        count = min(_CHUNK - first, until - start)
        copy_bytes(out, at, t.pool[chunk], first, count)
        at += count
        start += count


@part
def drop_in(t: Any, c: Any, until: Any) -> None:
    """Give back the chunks that end before byte `until`: its bytes are used."""
    while c.in_head != _NOWHERE and c.in_from + _CHUNK <= until:
        if c.in_here == c.in_head:
            c.in_here = t.links[c.in_head]
            c.in_at += _CHUNK
        c.in_head = give_chunk(t, c.in_head)
        c.in_from += _CHUNK


@part
def hold(t: Any, slot: Any, first: Any, last: Any) -> Any:
    """Note that sequence numbers first .. last - 1 are there, out of order. False: it would be one range too many."""
    c = t.connections[slot]
    held = t.ranges[slot]
    low, high = first, last
    k = 0
    while k < c.ranges:  # what touches it becomes part of it
        if gap(held[k, 0], high) <= 0 and gap(held[k, 1], low) >= 0:
            if gap(held[k, 0], low) < 0:
                low = np.int64(held[k, 0])
            if gap(held[k, 1], high) > 0:
                high = np.int64(held[k, 1])
            c.ranges -= 1
            held[k, 0], held[k, 1] = held[c.ranges, 0], held[c.ranges, 1]
        else:
            k += 1
    if c.ranges >= _RANGES:
        return False
    held[c.ranges, 0], held[c.ranges, 1] = low, high
    c.ranges += 1
    return True


@part
def reach(t: Any, slot: Any, number: Any) -> Any:
    """All before `number` is there: the sequence number up to which it is so with what was held."""
    c = t.connections[slot]
    held = t.ranges[slot]
    k = 0
    while k < c.ranges:
        if gap(held[k, 0], number) <= 0:
            if gap(held[k, 1], number) > 0:
                number = np.int64(held[k, 1])
            c.ranges -= 1
            held[k, 0], held[k, 1] = held[c.ranges, 0], held[c.ranges, 1]
            k = 0
        else:
            k += 1
    return number
