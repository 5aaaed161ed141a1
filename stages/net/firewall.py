"""The kernel stays quiet: a lease on its silence towards the answers to a scan.

The kernel resets every SYN-ACK that it did not ask for. Who goes on with such a connection from user space, or gives
it to a kernel socket later, takes a lease: SYN-ACKs (`synack`, for adoption) or all TCP packets (`tcp`, for user-space
TCP) to the scan's own source addresses and ports are dropped before TCP sees them; packet sockets see them all the
same. What belongs to a socket of this host is spared (`net.firewall_rules`).

The rule is an nftables table of its own and in the hands of a small process (`net.firewall_keeper`) which alone needs
CAP_NET_ADMIN: `take` starts it, the taker may drop its capabilities afterwards. The lease lives while a process that
holds it lives, the taker's or one that joined, and renews it: a scanner and the consumer of its hits hold it together.
It ends with the last of them, however that one ended.

    with Lease.take(["198.51.100.2"], (40000, 60999)) as lease:      the scanner
        ... lease.renew() every few seconds
    with Lease.join("198.51.100.2", 40007) as lease:                 who got a hit from there
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from stages.net import confine, helper, nft, privileges
from stages.net.firewall_keeper import ADDRESS, MESSAGE_BYTES, credentials
from stages.net.firewall_rules import NAME, Rule, What
from stages.net.nft import FirewallError, Forbidden, Missing

__all__ = ["EXPIRY", "FirewallError", "Forbidden", "Lease", "Lost", "Missing", "NoLease"]

log = logging.getLogger("longline.net.firewall")

#: Seconds without a renewal after which a lease is over, its holders alive or not: longer than a busy machine keeps a
#: process waiting, and no longer than servers repeat their SYN-ACK.
EXPIRY: Final = 60
#: Setting up takes 50 ms, of which Python's start is the most; deleting 10 ms. A hung helper must not hang us.
ANSWER_SECONDS: Final = 60.0

_UNIX: Final = Path("/proc/thread-self/net/unix")  # of this thread's network namespace
_PATH: Final = re.compile(rf"@{re.escape(ADDRESS[1:])}({NAME.pattern})@*$")


class Lost(FirewallError):
    """The lease has ended although we hold it: the kernel resets again. `errno` is ESTALE."""

    def __init__(self, text: str) -> None:
        super().__init__(f"the lease is lost: {text}", errno.ESTALE)


class NoLease(FirewallError):
    """No lease covers that address and port in this network namespace. `errno` is ENOENT."""

    def __init__(self, text: str) -> None:
        super().__init__(text, errno.ENOENT)


_KINDS: Final = {"Forbidden": Forbidden, "Missing": Missing, "NoLease": NoLease}


class Lease:
    """Held from `take` or `join` until `release`, the end of the `with` block or of the process. For any thread."""

    def __init__(self, peer: socket.socket, described: dict[str, Any]) -> None:
        """For `take` and `join`."""
        self._peer: socket.socket | None = peer
        self._lock = threading.Lock()
        self.table = str(described["table"])  #: its name in the family ip
        self.sparing = bool(described["sparing"])  #: packets of this host's own sockets are let through
        self.rule = Rule(tuple(described["addresses"]), (described["ports"][0], described["ports"][1]),
                         described["what"])  # fmt: skip

    @classmethod
    def take(
        cls, addresses: Iterable[object], ports: tuple[int, int], *, what: What = "synack", expiry: int = EXPIRY
    ) -> Lease:
        """A lease of our own on source `addresses` (IPv4, text or objects) and `ports` (first, last).

        The calling thread has CAP_NET_ADMIN. What owners that died left behind is cleared first. Raises ValueError;
        Forbidden, Missing (go on without: dial), FirewallError, ConfinedError; all three are OSErrors.
        """
        rule = Rule(tuple(map(str, addresses)), ports, what)
        if confine.confined() and not confine.marked():
            raise confine.ConfinedError("a rule of the packet filter")
        where = nft.program()
        try:
            peer = helper.start("stages.net.firewall_keeper", privileges.CAP_NET_ADMIN)
        except PermissionError:
            raise Forbidden("a packet filter rule needs CAP_NET_ADMIN, which this process does not have") from None
        except OSError as error:
            raise FirewallError(f"the keeper of the rule cannot be started: {error.strerror or error}") from error
        asked = {"addresses": rule.addresses, "ports": rule.ports, "what": what, "expiry": expiry, "nft": where}
        taken = _ask(peer, {"take": asked})["taken"]
        for name in taken["foreign"]:
            log.warning("the nftables table ip %s has a name like ours and no mark of ours: it is left alone", name)
        for name in taken["cleared"]:
            log.info("nftables table ip %s deleted: its owner is dead", name)
        if not taken["sparing"]:
            log.info("this kernel or nft cannot spare what belongs to sockets (nft_socket): the rule spares nothing")
        return cls(peer, taken)

    @classmethod
    def join(cls, address: str, port: int, *, what: What = "synack") -> Lease:
        """Hold the lease that covers a hit's own address and port. No capability is needed.

        Its taker is of this user, or the superuser. Raises NoLease, FirewallError.
        """
        for name in _leases():
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            peer.settimeout(ANSWER_SECONDS)
            try:
                peer.connect(f"{ADDRESS}{name}")
                if credentials(peer)[1] not in (0, os.getuid()):
                    peer.close()
                    continue
                return cls(peer, _ask(peer, {"join": {"address": address, "port": port, "what": what}})["joined"])
            except OSError:  # it has just ended, or is another's
                peer.close()
        raise NoLease(f"no lease keeps the kernel quiet towards {address} port {port} ({what})")

    def covers(self, address: str, port: int) -> bool:
        return self.rule.covers(address, port, self.rule.what)

    def renew(self) -> None:
        """Its time begins anew; waits for nothing, and may be called as often as one likes. Raises Lost."""
        with self._lock:
            if self._peer is None:
                raise Lost("it was released")
            try:
                self._peer.setblocking(False)
                while data := self._peer.recv(MESSAGE_BYTES):
                    if "lost" in (said := json.loads(data)):
                        raise Lost(str(said["lost"]))
                raise Lost("its keeper has ended")
            except BlockingIOError:
                pass
            except ConnectionError:
                raise Lost("its keeper has ended") from None
            try:
                self._peer.send(b'{"renew": true}')
            except BlockingIOError:  # it has yet to read those before
                pass
            except OSError:
                raise Lost("its keeper has ended") from None

    def release(self) -> None:
        """Hold it no more; when nobody else does, the rule is gone when this returns. Idempotent, raises nothing."""
        with self._lock:
            peer, self._peer = self._peer, None
        if peer is None:
            return
        try:
            peer.settimeout(ANSWER_SECONDS)
            peer.send(b'{"release": true}')
            while (data := peer.recv(MESSAGE_BYTES)) and "released" not in json.loads(data):
                pass
        except OSError as error:  # its keeper has ended, and removed it before
            log.debug("lease %s: %s", self.table, error)
        finally:
            peer.close()

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _ask(peer: socket.socket, message: dict[str, Any]) -> dict[str, Any]:
    """The answer; the socket is closed when it is an error."""
    try:
        peer.settimeout(ANSWER_SECONDS)
        peer.send(json.dumps(message).encode())
        data = peer.recv(MESSAGE_BYTES)
    except OSError as error:
        peer.close()
        raise FirewallError(f"the keeper of the rule does not answer: {error.strerror or error}") from error
    if not data:
        peer.close()
        raise FirewallError("the keeper of the rule ended before it answered")
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        peer.close()
        raise _KINDS.get(answer["error"], FirewallError)(answer["text"])
    return answer


def _leases() -> list[str]:
    """Names of the tables whose keepers listen in this network namespace."""
    try:
        lines = _UNIX.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise FirewallError(f"{_UNIX} cannot be read: {error.strerror}") from error
    found = (_PATH.search(line) for line in lines)
    return sorted({match[1] for match in found if match is not None})
