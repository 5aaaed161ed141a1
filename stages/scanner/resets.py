"""Ending what a SYN scan begins: a RST for each validated SYN-ACK, where this host's kernel sends none.

A SYN-ACK that nobody asked the kernel for is answered by it with a RST, and the server forgets the half-open
connection. A rule that drops unexpected packets on input takes the SYN-ACK away before the kernel sees it (our ring
sees it all the same), and the server would send it again and again, and hold the connection for a minute. Then we
send the RST that the kernel would have sent (RFC 9293 3.10.7.1: SEQ=SEG.ACK).

    auto     watch, on a packet socket that sees what leaves, whether the RSTs of the first answers come from the
             kernel; answers are kept meanwhile
    always   send                never   do not

One thread of its own sends: the receive thread hands answers over and goes on.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from stages.net import bpf, confine, headers
from stages.net.checksum import finish, word_sum
from stages.net.jit import kernel
from stages.net.packetsocket import Frames, FrameSender, Wire, packet_socket
from stages.net.rawip import RawIpSender
from stages.scanner.answers import SYNACK, AnswerArray

log = logging.getLogger("longline.scanner.resets")

Mode = Literal["auto", "always", "never"]

#: Answers whose RSTs are looked for. One would do; a RST may be lost in a full queue.
SAMPLE: Final = 64
#: The kernel answers a SYN-ACK before the interrupt that brought it ends. A busy machine may take its time to tell us.
PATIENCE_S: Final = 0.5
#: RSTs that wait, at most (16 MiB): more than come at a million a second until it is known who sends them. What is
#: beyond is left to the servers' own timeouts, and counted.
MAX_WAITING: Final = 1 << 20
#: Frames in one call.
BATCH: Final = 512
#: A full transmit queue empties in microseconds; after so many tries the RST is left out, and counted.
_BACKOFF_S: Final = 100e-6
_TRIES: Final = 100
#: How often the thread looks for outgoing RSTs while it watches.
_LOOK_S: Final = 0.02
_RETRIED: Final = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.ENOMEM})

_ETH_P_ALL: Final = 3
#: An ancillary load of classic BPF (linux/filter.h): the direction of the packet. PACKET_OUTGOING of linux/if_packet.h.
_DIRECTION: Final = 0xFFFFF000 + 4
_OUTGOING: Final = 4
#: Bytes of a frame that are read: Ethernet, the longest IPv4 header, TCP.
_SNAP: Final = 94
#: Holds the RSTs of some hundred answers until the thread looks.
_RECEIVE_BUFFER: Final = 1 << 20

_IP: Final = headers.ETHERNET_BYTES
_TCP: Final = _IP + headers.IPV4_BYTES
_LENGTH: Final = _TCP + headers.TCP_BYTES
_STRIDE: Final = 64
#: In front of the first row, for a VLAN tag.
_LEAD: Final = 8
_S8, _S16 = np.uint64(8), np.uint64(16)
_LOW8, _LOW16 = np.uint64(0xFF), np.uint64(0xFFFF)


def template(source_mac: bytes, gateway_mac: bytes, ttl: int) -> bytes:
    """A RST with zeros where addresses, ports, sequence number and checksums go."""
    ip = struct.pack("!BBHHHBBH8x", 0x45, 0, _LENGTH - _IP, 0, 0x4000, ttl, headers.PROTOCOL_TCP, 0)
    tcp = struct.pack("!8x4xBBHHH", 0x50, headers.TCP_RST, 0, 0, 0)
    return gateway_mac + source_mac + headers.ETHERTYPE_IPV4.to_bytes(2, "big") + ip + tcp


#: What a RST needs of the SYN-ACK that it answers.
RESET: Final = np.dtype([("target", "u4"), ("ours", "u4"), ("seq", "u4"), ("port", "u2"), ("own_port", "u2")])
ResetArray: TypeAlias = npt.NDArray[np.void]


def resets_of(answers: AnswerArray) -> ResetArray:
    """The RSTs to the SYN-ACKs among answers."""
    chosen = answers[answers["kind"] == SYNACK]
    out = np.empty(len(chosen), RESET)
    for name, field in zip(RESET.names or (), ("saddr", "daddr", "ack", "sport", "dport"), strict=True):
        out[name] = chosen[field]
    return out


def is_syn(frame: bytes) -> bool:
    """Whether a probe's template begins a TCP connection, so that there may be something to end."""
    if len(frame) < _LENGTH or frame[_IP + 9] != headers.PROTOCOL_TCP:
        return False
    return frame[_TCP + 13] & (headers.TCP_SYN | headers.TCP_ACK) == headers.TCP_SYN


@kernel
def fill(frames: Any, resets: Any, ip_sum: Any, tcp_sum: Any) -> None:
    """Write RSTs into rows of the template (u8), as many as there are of both."""
    for i in range(min(resets.size, frames.shape[0])):
        row, reset = frames[i], resets[i]
        ours, theirs = np.uint64(reset.ours), np.uint64(reset.target)
        sport, dport, seq = np.uint64(reset.own_port), np.uint64(reset.port), np.uint64(reset.seq)
        addresses = (ours >> _S16) + (ours & _LOW16) + (theirs >> _S16) + (theirs & _LOW16)
        ports = sport + dport + (seq >> _S16) + (seq & _LOW16)
        for at, value in (
            (_IP + 10, finish(ip_sum + addresses)),
            (_IP + 12, ours >> _S16), (_IP + 14, ours), (_IP + 16, theirs >> _S16), (_IP + 18, theirs),
            (_TCP, sport), (_TCP + 2, dport), (_TCP + 4, seq >> _S16), (_TCP + 6, seq),
            (_TCP + 16, finish(tcp_sum + addresses + ports)),
        ):  # fmt: skip
            row[at] = value >> _S8 & _LOW8
            row[at + 1] = value & _LOW8


def watch_filter(source_ports: tuple[int, int]) -> bytes:
    """Outgoing TCP segments with RST from one of our ports."""
    first, last = source_ports
    return bpf.assemble([
        bpf.Op(bpf.LD_W, _DIRECTION),
        bpf.Op(bpf.JEQ, _OUTGOING, None, "drop"),
        bpf.Op(bpf.LD_H, 12),
        bpf.Op(bpf.JEQ, headers.ETHERTYPE_IPV4, None, "drop"),
        bpf.Op(bpf.LD_B, 23),
        bpf.Op(bpf.JEQ, headers.PROTOCOL_TCP, None, "drop"),
        bpf.Op(bpf.LDX_IP, headers.ETHERNET_BYTES),
        bpf.Op(bpf.LD_H_X, headers.ETHERNET_BYTES),
        bpf.Op(bpf.JGE, first, None, "drop"),
        bpf.Op(bpf.JGT, last, "drop"),
        bpf.Op(bpf.LD_B_X, headers.ETHERNET_BYTES + 13),
        bpf.Op(bpf.JSET, headers.TCP_RST, "keep"),
        "drop",
        bpf.Op(bpf.RET, 0),
        "keep",
        bpf.Op(bpf.RET, _SNAP),
    ])  # fmt: skip


#: (target, our address, sequence number, its port, our port) of a RST, as RESET has them.
Reset: TypeAlias = tuple[int, int, int, int, int]


def reset_of(frame: bytes) -> Reset | None:
    """What an outgoing frame resets; None for one that is too short."""
    tcp = _IP + (frame[_IP] & 15) * 4 if len(frame) > _IP else _SNAP
    if len(frame) < tcp + 8:
        return None
    ours, theirs, seq = struct.unpack_from("!HHI", frame, tcp)
    source, target = struct.unpack_from("!II", frame, _IP + 12)
    return target, source, seq, theirs, ours


class Resets(threading.Thread):
    """See the module's docstring. `put` is for the receive threads; the rest for who opened it."""

    def __init__(
        self,
        mode: Literal["auto", "always"],
        interface: str,
        *,
        source_mac: bytes,
        gateway_mac: bytes | None,
        source_ports: tuple[int, int],
        vlan: int | None = None,
        link_header: bool = True,
        ttl: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`gateway_mac` None: the kernel finds way and neighbour of each RST, as it must for targets on the link.
        `link_header` False: the interface has no Ethernet headers.

        Raises NoRawAccess, ConfinedError, OSError.
        """
        super().__init__(name="resets", daemon=True)
        confine.check_packets(interface)
        row = template(source_mac, gateway_mac or headers.NO_MAC, ttl)
        memory = np.zeros(BATCH * _STRIDE + _LEAD, np.uint8)
        self._frames: npt.NDArray[np.uint8] = memory[_LEAD:].reshape(BATCH, _STRIDE)
        self._frames[:] = np.frombuffer(row.ljust(_STRIDE, b"\0"), np.uint8)
        self._sums = (
            np.uint64(word_sum(row[_IP:_TCP])),
            np.uint64(word_sum(row[_TCP:]) + headers.PROTOCOL_TCP + headers.TCP_BYTES),
        )
        self._no_header = b"" if link_header else bytes(headers.ETHERNET_BYTES)  # what the frames that leave lack
        self._clock = clock
        self._waiting: deque[ResetArray] = deque()
        self._count = 0  # RSTs in it
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._sample: set[Reset] = set()
        self._first_at: float | None = None
        self._watch: socket.socket | None = None
        self.decided: Literal["kernel", "us"] | None = "us" if mode == "always" else None
        self.sent = 0
        self.left_out = 0  #: SYN-ACKs that were not reset although they should have been
        self.error: OSError | None = None
        self._wire = self._open_wire(interface, memory, source_mac, gateway_mac, vlan)
        try:
            fill(self._frames, np.zeros(0, RESET), *self._sums)  # compiles or loads it
            if mode == "auto":
                self._watch = packet_socket()
                code = watch_filter(source_ports)
                if not link_header:
                    code = bpf.without_link_header(code, headers.ETHERNET_BYTES, headers.ETHERTYPE_IPV4)
                bpf.attach(self._watch, code)
                self._watch.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
                self._watch.setblocking(False)
                self._watch.bind((interface, _ETH_P_ALL))
        except OSError:
            self._close()
            raise

    def _open_wire(
        self,
        interface: str,
        memory: npt.NDArray[np.uint8],
        source_mac: bytes,
        gateway_mac: bytes | None,
        vlan: int | None,
    ) -> Wire:
        block = self._frames[np.newaxis]
        if gateway_mac is None:
            return RawIpSender(interface, Frames(block, _LENGTH, offset=_IP))
        if vlan is None:
            return FrameSender(interface, Frames(block, _LENGTH))
        tagged = np.frombuffer(headers.vlan_header(gateway_mac, source_mac, vlan), np.uint8)
        early = headers.VLAN_TAG_BYTES
        for first in range(_LEAD - early, BATCH * _STRIDE, _STRIDE):  # each begins in what is left of the row before it
            memory[first : first + tagged.size] = tagged
        return FrameSender(interface, Frames(block, _LENGTH, offset=-early))

    def put(self, answers: AnswerArray) -> None:
        """Answers that were validated; the array is only read. From any thread."""
        if self.decided == "kernel":
            return
        resets = resets_of(answers)
        if not resets.size:
            return
        with self._lock:
            if self._count + resets.size > MAX_WAITING:
                self.left_out += resets.size
                return
            self._waiting.append(resets)
            self._count += resets.size
        self._wake.set()

    def finish(self) -> None:
        """Nothing more comes: the thread resets what waits, and ends. Called once the receive threads have ended."""
        self._ending.set()
        self._wake.set()

    def run(self) -> None:
        try:
            while True:
                self._wake.wait(_LOOK_S if self._sample and self.decided is None else None)
                self._wake.clear()
                if self.decided is None:
                    self._decide()
                if self.decided is not None:
                    self._end_watch()
                    self._work()
                if self._ending.is_set() and (self.decided is not None or not self._sample):
                    return
        except OSError as error:
            self.error = error
            log.warning("half-open connections are not reset any more: %s", error.strerror or error)
        finally:
            self._close()
            if self.sent or self.left_out:
                log.info("%d half-open connections reset, %d left to the servers", self.sent, self.left_out)

    def _decide(self) -> None:
        """Whether the kernel resets the first answers."""
        assert self._watch is not None
        with self._lock:
            waiting = list(self._waiting) if len(self._sample) < SAMPLE else []
        for resets in waiting:
            self._sample.update(resets[:SAMPLE].tolist())
            if len(self._sample) >= SAMPLE:
                break
        if self._sample and self._first_at is None:
            self._first_at = self._clock()
        while self._sample:
            try:
                frame = self._watch.recv(_SNAP)
            except BlockingIOError:
                break
            if reset_of(self._no_header + frame) in self._sample:
                self.decided = "kernel"
                with self._lock:
                    self._waiting.clear()
                    self._count = 0
                log.debug("the kernel of this host resets half-open connections")
                return
        if self._first_at is not None and self._clock() - self._first_at >= PATIENCE_S:
            self.decided = "us"
            log.info("the kernel of this host does not reset half-open connections (a rule on input?): we do")

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                resets = self._waiting.popleft()
                self._count -= resets.size
            for first in range(0, resets.size if self.decided == "us" else 0, BATCH):
                part = resets[first : first + BATCH]
                fill(self._frames, part, *self._sums)
                self._send(part.size)

    def _send(self, rows: int) -> None:
        done = tries = 0
        while done < rows:
            sent, number = self._wire.send(done, rows - done)
            done += sent
            self.sent += sent
            if not number:
                continue
            if number not in _RETRIED:
                raise OSError(number, f"RSTs cannot be sent: {errno.errorcode.get(number, number)}")
            tries += 1
            if tries > _TRIES:
                self.left_out += rows - done
                return
            time.sleep(_BACKOFF_S)

    def _end_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def _close(self) -> None:
        self._end_watch()
        self._wire.close()

    def close(self, timeout: float = 0.0) -> None:
        """Wait so long for the thread, if it runs; idempotent."""
        self.finish()
        if self.ident is None:
            self._close()
        else:
            self.join(timeout)
