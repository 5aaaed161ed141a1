"""Control ports: does a host answer on a port where hardly anything listens? Then what it says means little. Pure.

As LZR's ephemeral-port handshake (Izhikevich, Teixeira and Durumeric, USENIX Security 2021): with the first connection
to a host goes a SYN to a port that a keyed hash gives, from the same port of ours. Its sequence number carries the port
of the connection that it belongs to, below 16 bits of a keyed hash. A SYN-ACK to it marks that connection, if it is
still open, and is reset; and every other connection to the host, for as long as the host is not asked again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.net import headers, tcp
from stages.net.jit import part, piece
from stages.net.sequence import plus
from stages.net.tcp_output import begin, reset, seal
from stages.net.tcp_table import find, hash_of, mix

_CONTROL_KEY, _CONTROL, _CONTROL_ON = tcp.CONTROL_KEY, tcp.CONTROL, tcp.CONTROL_ON
_SYN = headers.TCP_SYN
_TCP_BYTES = headers.TCP_BYTES
_NOWHERE = tcp.NOWHERE
#: Ports below this are somebody's.
_FIRST_PORT = 1024
_PORTS = np.uint64(65_536 - _FIRST_PORT)
_LOW16, _HIGH16 = 0xFFFF, 0xFFFF0000


@piece
def control_port(t: Any, peer: Any, peer_port: Any) -> Any:
    """The control port of a host; never the port of the connection itself."""
    word = mix(np.uint64(peer) ^ np.uint64(t.rules[_CONTROL_KEY]))
    port = _FIRST_PORT + np.int64((word >> np.uint64(8)) % _PORTS)
    return port if port != peer_port else _FIRST_PORT + (port + 1 - _FIRST_PORT) % np.int64(_PORTS)


@piece
def control_number(t: Any, peer: Any, peer_port: Any, ours: Any, own_port: Any) -> Any:
    """The sequence number of its SYN."""
    return (hash_of(t.rules[_CONTROL_KEY], peer, peer_port, ours, own_port) & _HIGH16) | peer_port


@piece
def place_of(t: Any, peer: Any) -> Any:
    """Where a host is remembered."""
    return np.int64(mix(np.uint64(peer)) & np.uint64(t.hosts.size - 1))


@piece
def mark(t: Any, c: Any) -> None:
    """Mark a connection whose host has answered."""
    if t.rules[_CONTROL_ON]:
        place = place_of(t, c.peer)
        if t.answering[place] and t.hosts[place] == c.peer:
            c.flags |= _CONTROL


@part
def ask(t: Any, c: Any) -> None:
    """The SYN, if this host did not get one lately."""
    peer, peer_port, ours, own_port = np.int64(c.peer), np.int64(c.peer_port), np.int64(c.ours), np.int64(c.own_port)
    place = place_of(t, c.peer)
    if t.hosts[place] == c.peer:
        return
    number = begin(
        t, _TCP_BYTES, ours, peer, own_port, control_port(t, peer, peer_port),
        control_number(t, peer, peer_port, ours, own_port), 0, 0x5000 | _SYN,
    )  # fmt: skip
    if number >= 0:
        t.hosts[place] = c.peer
        t.answering[place] = 0
        row = t.frames[number]
        at = t.rules[tcp.IP_AT] + headers.IPV4_BYTES
        row[at + 14] = row[at + 15] = 0xFF
        seal(t, number, _TCP_BYTES)
        t.now[tcp.CONTROL_SENT] += 1


@part
def answered(t: Any, peer: Any, port: Any, ours: Any, own_port: Any, ack: Any) -> Any:
    """A SYN-ACK of no connection came from `port`: whether it answers such a SYN, and then all that follows."""
    number = plus(ack, -1)
    peer_port = number & _LOW16
    if port != control_port(t, peer, peer_port) or number != control_number(t, peer, peer_port, ours, own_port):
        return False
    t.now[tcp.CONTROL_SEEN] += 1
    reset(t, ours, peer, own_port, port, ack, np.int64(0), False)
    place = place_of(t, peer)
    if t.hosts[place] == peer:
        t.answering[place] = 1
    slot = find(t, peer, peer_port, ours, own_port)
    if slot != _NOWHERE:
        t.connections[slot].flags |= _CONTROL
    return True
