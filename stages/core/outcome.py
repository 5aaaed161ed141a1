"""The one vocabulary of outcomes, for code, records, metrics and dashboards.

Never guess: a refusal is not a timeout, and what never left this host says nothing about the target.
"""

from __future__ import annotations

import errno as _errno
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What came of one conversation."""

    OK = "ok"
    EMPTY = "empty"  #: the peer closed without sending a byte
    SILENT = "silent"  #: connected, but no byte before the timeout
    REFUSED = "refused"  #: TCP: a RST to our SYN
    UNREACHABLE = "unreachable"  #: an ICMP error (type and code in the record), or no neighbour
    RESET = "reset"  #: a RST after the connection was established
    TIMEOUT = "timeout"  #: nothing came back in the phase named
    PROTOCOL = "protocol"  #: the peer's bytes break the protocol
    ALERT = "alert"  #: a TLS alert
    BLOCKED = "blocked"  #: on a blocklist
    EXPIRED = "expired"  #: too old to continue
    LOCAL = "local"  #: our own limits; retried, then the stage stops; never stored
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """Where in the conversation it ended."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    WRITE = "write"
    READ = "read"
    HELLO = "hello"
    CERTIFICATE = "certificate"
    FINISH = "finish"


class Via(StrEnum):
    """How the connection came to be."""

    CONNECT = "connect"
    RAW = "raw"
    ADOPT = "adopt"


class DeadReason(StrEnum):
    """Why a record went to the dead letters."""

    UNDECODABLE = "undecodable"  #: not JSON, or not UTF-8
    SCHEMA = "schema"  #: JSON, but not a record we know, or a field is missing or of a wrong type
    OVERSIZED = "oversized"  #: larger than MAX_RECORD_BYTES
    REFUSED = "refused"  #: the store refuses it for good
    TARGET = "target"  #: a target that nothing can dial (port 0, a bad name)
    BUG = "bug"  #: our own handler raised


#: What the kernel says when this host, not the target, is at its limit (connect(2), socket(2), send(2)).
LOCAL_ERRNOS: Final = frozenset(
    {
        _errno.EMFILE,
        _errno.ENFILE,
        _errno.ENOMEM,
        _errno.ENOBUFS,
        _errno.EADDRNOTAVAIL,
        _errno.EADDRINUSE,
        _errno.EACCES,
        _errno.EPERM,
        _errno.EAGAIN,
        _errno.ENETDOWN,
        _errno.EINVAL,
        _errno.EAFNOSUPPORT,
    }
)

_RESETS: Final = frozenset({_errno.ECONNRESET, _errno.EPIPE, _errno.ECONNABORTED})
_UNREACHABLES: Final = frozenset(
    {
        _errno.EHOSTUNREACH,
        _errno.ENETUNREACH,
        _errno.EHOSTDOWN,
        _errno.ENOPROTOOPT,
        _errno.EPROTO,
        _errno.EOPNOTSUPP,
        _errno.EMSGSIZE,
        getattr(_errno, "ENONET", _errno.EHOSTUNREACH),  # only Linux has it (icmp_err_convert: host isolated)
    }
)


def of_error(errno: int, phase: Phase, *, icmp: tuple[int, int] | None = None, left_host: bool = True) -> Outcome:
    """Name an error that the kernel reported.

    `icmp` is (type, code) from the socket's error queue (ip(7), IP_RECVERR): any ICMP error is `unreachable`, although
    errno says ECONNREFUSED for a port-unreachable (RFC 1122 4.2.3.9). `left_host` is False when the call itself
    failed and no packet can have left, so that a missing route is `local` and not a statement about the target.
    """
    if icmp is not None:
        return Outcome.UNREACHABLE
    if errno in LOCAL_ERRNOS or not left_host:
        return Outcome.LOCAL
    if errno == _errno.ECONNREFUSED:
        return Outcome.REFUSED
    if errno in _RESETS:
        # A RST to our SYN is ECONNREFUSED (connect(2)); this one came after the connection stood, before we looked.
        return Outcome.RESET
    if errno == _errno.ETIMEDOUT:
        return Outcome.TIMEOUT
    if errno in _UNREACHABLES:
        return Outcome.UNREACHABLE
    return Outcome.LOCAL
