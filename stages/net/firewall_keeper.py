"""The keeper of one lease: a process that sets the rule up, and takes it away when nobody holds it any more.

It alone has CAP_NET_ADMIN, and nothing else; it is in a session of its own and nobody's child (`net.helper`), so that
what kills the scanner, or the whole process group, does not reach it. A holder is a connection: the socket of who
started it, and every connection to its socket in the abstract namespace, which is one a network namespace (unix(7)):
no file is left behind, and no lease is found from another namespace. A holder is gone when its connection is, or its
process (pidfd), which a child that inherited the socket would hide. The last one gone, or the time run out: the table
is deleted and the process ends. Killed itself, the addresses in its set run out (`net.firewall_rules`), and the next
lease clears what is left.

    {"take": ...}   -> {"taken": ...} | {"error": kind, "text": ...}     the starter's first message
    {"join": ...}   -> {"joined": ...} | {"error": ...}                  a consumer's
    {"renew": true}                                                      the time begins anew
    {"release": true} -> {"released": whether the rule is gone too}
    {"lost": reason}                                                     to all holders, of its own accord
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import struct
import time
from contextlib import suppress
from typing import Any, Final

from stages.net import firewall_rules as rules
from stages.net import helper, nft, privileges
from stages.net.firewall_owner import own_mark
from stages.net.firewall_table import Table, clear

#: Processes that hold one lease: a scanner and what consumes its hits, and some that only look.
MAX_HOLDERS: Final = 64
#: Longest message: MAX_ADDRESSES of 18 bytes, and the rest.
MESSAGE_BYTES: Final = 1 << 15
#: A rule is renewed in the kernel when a quarter of its time has passed, however often it is asked for.
RENEW_PART: Final = 0.25
#: Names tried: one process keeps one lease, so a second try is needed only when somebody else used our name.
MAX_NAMES: Final = 16

ADDRESS: Final = "\0longline/lease/"
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


def credentials(peer: socket.socket) -> tuple[int, int]:
    """Process (0: of another pid namespace) and user at the other end. Raises OSError."""
    pid, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid


class Holder:
    """One connection, and a descriptor of its process where that can be had."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.pidfd: int | None = None
        with suppress(OSError):
            pid, _ = credentials(peer)
            if pid > 0:
                self.pidfd = os.pidfd_open(pid)

    def say(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # it is gone, which the selector tells, or does not listen
            self.peer.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def close(self) -> None:
        self.peer.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


class Keeper:
    """See the module's docstring."""

    def __init__(self, starter: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._starter = starter
        self._holders: list[Holder] = []
        self._listener: socket.socket | None = None
        self._table: Table | None = None
        self._expiry = 0
        self._until = 0.0
        self._renewed = 0.0

    def keep(self) -> None:
        """All of it: take, hold, take away."""
        try:
            message = json.loads(self._starter.recv(MESSAGE_BYTES) or b"null")
            if message is None:
                return
            try:
                taken = self._take(message["take"])
            except (OSError, ValueError) as error:
                kind = type(error).__name__ if isinstance(error, nft.FirewallError) else "FirewallError"
                self._starter.send(json.dumps({"error": kind, "text": _text(error)}).encode())
                return
            self._add(self._starter)
            self._holders[0].say({"taken": taken})
            self._hold()
        finally:
            if self._listener is not None:  # nobody joins what is about to end
                self._listener.close()
            if self._table is not None:
                self._table.remove()
            for holder in self._holders:
                holder.close()
            self._selector.close()

    # -- setting up ---------------------------------------------------------------------------------------------

    def _take(self, asked: dict[str, Any]) -> dict[str, Any]:
        rule = rules.Rule(tuple(asked["addresses"]), (asked["ports"][0], asked["ports"][1]), asked["what"])
        self._expiry = asked["expiry"]
        mark = own_mark()
        self._table = Table(asked["nft"], rule, mark, self._expiry)
        foreign, cleared = clear(asked["nft"])
        for number in range(1, MAX_NAMES + 1):
            name = f"longline_{mark.pid}_{number}"
            try:
                self._listen(name)
                self._table.create(name)
                break
            except nft.Exists:
                continue
        else:
            raise nft.FirewallError(
                f"tables longline_{mark.pid}_1 to _{MAX_NAMES} are there already and not ours: {', '.join(foreign)}"
            )
        self._renewed = time.monotonic()
        self._until = self._renewed + self._expiry
        return {**self._described(self._table), "foreign": foreign, "cleared": cleared}

    @staticmethod
    def _described(table: Table) -> dict[str, Any]:
        rule = table.rule
        return {
            "table": table.name, "addresses": rule.addresses, "ports": rule.ports, "what": rule.what,
            "sparing": table.sparing,
        }  # fmt: skip

    def _listen(self, name: str) -> None:
        """Bound before the table is there: who holds the name of the socket may have that of the table."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            listener.bind(f"{ADDRESS}{name}")
            listener.listen(MAX_HOLDERS)
        except OSError as error:
            listener.close()
            raise nft.Exists(f"the socket of {name} is in use: {error.strerror}") from error
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    # -- holding ------------------------------------------------------------------------------------------------

    def _add(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        holder = Holder(peer)
        self._holders.append(holder)
        self._selector.register(peer, selectors.EVENT_READ, holder)
        if holder.pidfd is not None:
            self._selector.register(holder.pidfd, selectors.EVENT_READ, holder)

    def _drop(self, holder: Holder) -> None:
        if holder in self._holders:
            self._holders.remove(holder)
            self._selector.unregister(holder.peer)
            if holder.pidfd is not None:
                self._selector.unregister(holder.pidfd)
            holder.close()

    def _hold(self) -> None:
        while self._holders:
            left = self._until - time.monotonic()
            if left <= 0:
                self._lose(f"it was not renewed for {self._expiry} s")
                return
            for key, _ in self._selector.select(left):
                if key.data is None:
                    self._accept()
                elif key.fileobj is not key.data.peer:
                    self._drop(key.data)
                else:
                    self._hear(key.data)

    def _accept(self) -> None:
        assert self._listener is not None
        with suppress(OSError):
            peer, _ = self._listener.accept()
            if credentials(peer)[1] not in (0, os.getuid()) or len(self._holders) >= MAX_HOLDERS:
                peer.close()
            else:
                self._add(peer)

    def _hear(self, holder: Holder) -> None:
        try:
            data = holder.peer.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            message = json.loads(data) if data else {}
            if "join" in message:
                self._join(holder, **message["join"])
            elif "renew" in message:
                self._renew()
            elif "release" in message and len(self._holders) > 1:
                holder.say({"released": False})
                self._drop(holder)
            elif "release" in message:
                if self._table is not None:
                    self._table.remove()
                holder.say({"released": True})
                self._drop(holder)
            else:
                self._drop(holder)
        except (ValueError, TypeError):  # not ours
            self._drop(holder)

    def _join(self, holder: Holder, address: str, port: int, what: rules.What) -> None:
        assert self._table is not None
        if self._table.rule.covers(address, port, what):
            holder.say({"joined": self._described(self._table)})
        else:
            holder.say(
                {"error": "NoLease", "text": f"{self._table.name} does not cover {address} port {port} ({what})"}
            )
            self._drop(holder)

    def _renew(self) -> None:
        assert self._table is not None
        now = time.monotonic()
        self._until = now + self._expiry
        if now - self._renewed < self._expiry * RENEW_PART:
            return
        try:
            self._table.renew()
            self._renewed = now
        except nft.Absent:
            self._lose("somebody deleted the table")
        except OSError as error:  # the kernel still has the old time; the next renewal tries again
            if now - self._renewed >= self._expiry:
                self._lose(_text(error))

    def _lose(self, reason: str) -> None:
        for holder in list(self._holders):
            holder.say({"lost": reason})
            self._drop(holder)


def _text(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def main() -> None:
    """`python -m stages.net.firewall_keeper`, started by `net.firewall`."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    starter = helper.detach(privileges.CAP_NET_ADMIN)
    try:
        privileges.hand_down(privileges.CAP_NET_ADMIN)
    except OSError:
        if os.geteuid() != 0:
            raise
    starter.settimeout(helper.START_SECONDS)
    Keeper(starter).keep()


if __name__ == "__main__":
    main()
