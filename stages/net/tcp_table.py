"""Finding connections: a hash table with open addressing, free slots, and the memory of what was closed. Pure.

Linear probing with deletion by shifting back, so that nothing is left behind by connections that ended. The hash is
keyed: a peer cannot choose ports that collide. What was closed is remembered in a table without probing, where a later
connection overwrites an earlier one: a stray packet of a forgotten connection is simply not answered.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.net import tcp
from stages.net.jit import part, piece

_KEY, _OPEN, _FREE, _TOP = tcp.KEY, tcp.OPEN, tcp.FREE_SLOT, tcp.TOP_SLOT
_NOWHERE, _USED = tcp.NOWHERE, tcp.USED
# The finaliser of MurmurHash3 (Appleby), a mix of 64 bits.
_M1, _M2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_S32, _S33 = np.uint64(32), np.uint64(33)


@piece
def mix(word: Any) -> Any:
    """A u64, every bit of which depends on every bit of `word`."""
    word ^= word >> _S33
    word *= _M1
    word ^= word >> _S33
    word *= _M2
    return word ^ (word >> _S33)


@piece
def hash_of(key: Any, peer: Any, peer_port: Any, ours: Any, own_port: Any) -> Any:
    """Of a connection's addresses and ports, an i64 >= 0."""
    first = np.uint64(peer) << _S32 | np.uint64(ours)
    last = np.uint64(peer_port) << np.uint64(16) | np.uint64(own_port)
    return np.int64(mix(mix(first ^ np.uint64(key)) ^ last) >> np.uint64(1))


@piece
def same(row: Any, peer: Any, peer_port: Any, ours: Any, own_port: Any) -> Any:
    """Whether a CONNECTION or CLOSED row is about these."""
    return row.peer == peer and row.peer_port == peer_port and row.own_port == own_port and row.ours == ours


@part
def find(t: Any, peer: Any, peer_port: Any, ours: Any, own_port: Any) -> Any:
    """The slot of a connection, NOWHERE."""
    mask = t.places.size - 1
    at = hash_of(t.rules[_KEY], peer, peer_port, ours, own_port) & mask
    while t.places[at] != _NOWHERE:
        if same(t.connections[t.places[at]], peer, peer_port, ours, own_port):
            return np.int64(t.places[at])
        at = (at + 1) & mask
    return np.int64(_NOWHERE)


@piece
def has_room(t: Any) -> Any:
    """Whether one more connection has a slot."""
    return t.now[_FREE] != _NOWHERE or t.now[_TOP] < t.connections.size


@part
def add(t: Any, peer: Any, peer_port: Any, ours: Any, own_port: Any) -> Any:
    """A slot for a connection that is not in the table; its record has the key and flags USED, the rest is old.

    There must be room."""
    slot = t.now[_FREE]
    if slot != _NOWHERE:
        t.now[_FREE] = t.connections[slot].behind
    else:
        slot = t.now[_TOP]
        t.now[_TOP] += 1
    mask = t.places.size - 1
    at = hash_of(t.rules[_KEY], peer, peer_port, ours, own_port) & mask
    while t.places[at] != _NOWHERE:
        at = (at + 1) & mask
    t.places[at] = slot
    c = t.connections[slot]
    c.peer, c.peer_port, c.ours, c.own_port = peer, peer_port, ours, own_port
    c.flags = _USED
    t.now[_OPEN] += 1
    return slot


@part
def remove(t: Any, slot: Any) -> None:
    """Take a connection out; its slot is free."""
    c = t.connections[slot]
    mask = t.places.size - 1
    key = t.rules[_KEY]
    hole = hash_of(key, c.peer, c.peer_port, c.ours, c.own_port) & mask
    while t.places[hole] != slot:
        hole = (hole + 1) & mask
    at = (hole + 1) & mask
    while t.places[at] != _NOWHERE:
        o = t.connections[t.places[at]]
        home = hash_of(key, o.peer, o.peer_port, o.ours, o.own_port) & mask
        if ((at - home) & mask) >= ((at - hole) & mask):  # the hole is between its home and where it is
            t.places[hole] = t.places[at]
            hole = at
        at = (at + 1) & mask
    t.places[hole] = _NOWHERE
    c.flags = 0
    c.behind = t.now[_FREE]
    t.now[_FREE] = slot
    t.now[_OPEN] -= 1


@part
def remember(t: Any, c: Any, how: Any) -> None:
    """Note that this connection was closed, BY_FIN or BY_RESET."""
    row = t.closed[hash_of(t.rules[_KEY], c.peer, c.peer_port, c.ours, c.own_port) & (t.closed.size - 1)]
    row.peer, row.peer_port, row.ours, row.own_port = c.peer, c.peer_port, c.ours, c.own_port
    row.nxt, row.rcv, row.irs, row.how = c.top, c.rcv, c.irs, how


@part
def forget(t: Any, peer: Any, peer_port: Any, ours: Any, own_port: Any) -> None:
    """These addresses and ports are open anew."""
    row = t.closed[hash_of(t.rules[_KEY], peer, peer_port, ours, own_port) & (t.closed.size - 1)]
    if same(row, peer, peer_port, ours, own_port):
        row.how = 0
