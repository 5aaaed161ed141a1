"""The responder: a network at wire speed, in the far namespace, without state: `python -m stages.simnet.responder`.

    far0 --ring--> react (responder_frames) --> frames --AF_XDP--> far0
                       `--> queue of the delayed --^

It sees every IPv4 packet for its own MAC address, which is not that of the link: the kernel of the far namespace takes
such packets for somebody else's and does nothing with them. The near side has a permanent neighbour entry for a router
with this MAC (`wiring`), so that nobody asks by ARP.

    caller -> responder   one line of JSON: {"seed": n, "responder": {...}, "interface": name, "mac": text, "flights":
                          [hexadecimal]}; then a line whenever the counters are wanted; end of file: the end
    responder -> caller   `{"ready": true}` or {"error": text}; then a line of counters for each line
"""

from __future__ import annotations

import errno
import json
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stages.net import bpf, confine, headers, xsk
from stages.net.packetsocket import Frames, FrameSender, Wire, interface_error
from stages.net.ring import BLOCK_BYTES, COLUMNS, MAX_PACKETS, Ring, packets
from stages.simnet.responder_frames import react
from stages.simnet.responder_layers import L4
from stages.simnet.responder_queue import COUNTERS, ROW_BYTES, mature, queue_of, waiting
from stages.simnet.responder_spec import Responder
from stages.simnet.responder_talk import OPTION_BYTES
from stages.simnet.responder_truth import rules_of
from stages.simnet.responder_words import longest

#: 64 MiB: a third of a second of probes at a million a second, should something else take the processor.
_BLOCKS: Final = 256
#: A probe that comes alone is answered after so long.
_RETIRE_MS: Final = 2
#: Answers sent at once, and blocks of so many: one is filled while others are on their way.
_ROWS: Final = 1024
_BLOCKS_OUT: Final = 4
#: Memory of the answers of one delay that wait, once they are all in use: 0.6 s of SYN-ACKs at 200,000 a second.
_WAITING_BYTES: Final = 1 << 26
#: So much is read of a probe: of a SYN all; of a request as much as one segment has.
_SNAP: Final = 2048

#: Waits for probes, and, while answers wait for their time, for the next of them.
_LOOK_MS: Final = 50
_WAITING_MS: Final = 1
#: A full transmit queue empties in microseconds.
_BACKOFF_S: Final = 50e-6
_RETRIED: Final = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.ENOMEM})


def row_bytes(segment: int) -> int:
    """Bytes of a row for segments of so many: a power of two, so that rows never straddle a UMEM chunk."""
    return max(ROW_BYTES, 1 << (L4 + headers.TCP_BYTES + OPTION_BYTES + segment - 1).bit_length())


def packet_filter(mac: str, snap: int = ROW_BYTES) -> bytes:
    """IPv4 packets to this MAC address, as much of each as is read."""
    address = bytes.fromhex(mac.replace(":", ""))
    return bpf.assemble([
        bpf.Op(bpf.LD_W, 0),
        bpf.Op(bpf.JEQ, int.from_bytes(address[:4], "big"), None, "drop"),
        bpf.Op(bpf.LD_H, 4),
        bpf.Op(bpf.JEQ, int.from_bytes(address[4:], "big"), None, "drop"),
        bpf.Op(bpf.LD_H, 12),
        bpf.Op(bpf.JEQ, headers.ETHERTYPE_IPV4, "keep"),
        "drop",
        bpf.Op(bpf.RET, 0),
        "keep",
        bpf.Op(bpf.RET, snap),
    ])  # fmt: skip


class Loop:
    """Answers until `closing` is set. One thread runs it; the counters may be read by another."""

    def __init__(
        self, seed: int, responder: Responder, interface: str, mac: str, flights: Sequence[bytes] = ()
    ) -> None:
        """`flights` as of `rules_of`. Raises ValueError; ConfinedError outside of a simulated network, whether
        LONGLINE_CONFINE is set or not; OSError."""
        if interface != confine.LOOPBACK and not confine.marked():
            raise confine.ConfinedError(f"interface {interface}")
        self.closing = threading.Event()
        self._interface = interface
        self._rules = rules_of(seed, responder, flights)
        said = longest(self._rules.talk)
        stride = row_bytes(said)
        self._queue = queue_of(self._rules.delays.size + 1, _WAITING_BYTES // stride, stride)
        memory = xsk.memory(_BLOCKS_OUT * _ROWS * stride)
        rows = memory[: _BLOCKS_OUT * _ROWS * stride].reshape(_BLOCKS_OUT, _ROWS, stride)
        self._lengths = np.zeros(_ROWS, np.int64)
        self._blocks = [rows[block].reshape(-1) for block in range(_BLOCKS_OUT)]
        self._table = np.zeros((MAX_PACKETS, COLUMNS), np.int64)
        self._counted = np.zeros(len(COUNTERS), np.int64)
        self._failures = 0
        self._wire = _open_wire(interface, Frames(rows, stride, lengths=self._lengths))
        self._warm_up()
        self._ring = Ring(
            interface, packet_filter(mac, _SNAP if said else ROW_BYTES), blocks=_BLOCKS, retire_ms=_RETIRE_MS
        )

    def _warm_up(self) -> None:
        """Compile or load the kernels now."""
        _, rows = packets(np.zeros(BLOCK_BYTES, np.uint8), self._table)
        react(
            np.zeros(BLOCK_BYTES, np.uint8), self._table, 0, rows, self._rules, self._blocks[0], self._lengths,
            self._queue, self._counted, 0,
        )  # fmt: skip
        mature(self._queue, self._blocks[0], self._lengths, self._counted, 0)

    @property
    def counters(self) -> dict[str, int]:
        """What happened so far. `ring_drops` are probes that came too fast, `overflow` answers that found no room to
        wait, `send_failures` calls that were repeated."""
        counted = dict(zip(COUNTERS, self._counted.tolist(), strict=True))
        return {
            **counted,
            "waiting": waiting(self._queue),
            "ring_drops": self._ring.count_drops(),
            "send_failures": self._failures,
            "xdp": int(isinstance(self._wire, xsk.XskSender)),
        }

    def run(self) -> None:
        """Raises OSError when the interface is gone."""
        while not self.closing.is_set():
            block = self._ring.wait(_WAITING_MS if waiting(self._queue) else _LOOK_MS)
            if block is not None:
                _, count = packets(block, self._table)
                now, at = time.monotonic_ns(), 0
                while at < count and not self.closing.is_set():
                    at, rows = react(
                        block, self._table, at, count, self._rules, self._room(), self._lengths, self._queue,
                        self._counted, now,
                    )  # fmt: skip
                    self._send(rows)
                del block
                self._ring.release()
            while waiting(self._queue) and not self.closing.is_set():
                rows = mature(self._queue, self._room(), self._lengths, self._counted, time.monotonic_ns())
                if not rows:
                    break
                self._send(rows)

    def _room(self) -> npt.NDArray[np.uint8]:
        """A block of rows that is not on its way."""
        while (block := self._wire.free()) < 0 and not self.closing.is_set():
            time.sleep(_BACKOFF_S)
        room: npt.NDArray[np.uint8] = self._blocks[max(block, 0)]
        return room

    def _send(self, rows: int) -> None:
        done = 0
        while done < rows and not self.closing.is_set():
            sent, number = self._wire.send(done, rows - done)
            done += sent
            if number:
                if number not in _RETRIED:
                    raise interface_error(number, self._interface)
                self._failures += 1
                time.sleep(_BACKOFF_S)

    def close(self) -> None:
        self._wire.close()
        self._ring.close()


def _open_wire(interface: str, rows: Frames) -> Wire:
    """AF_XDP where there is such a thing, which takes half of what a packet socket does."""
    try:
        return xsk.open_best(interface, rows)
    except xsk.NoXdp:
        return FrameSender(interface, rows)


def main() -> int:
    def say(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    asked = json.loads(sys.stdin.readline())
    flights = [bytes.fromhex(flight) for flight in asked["flights"]]
    try:
        loop = Loop(asked["seed"], Responder.of(asked["responder"]), asked["interface"], asked["mac"], flights)
    except (OSError, ValueError) as error:
        say({"error": str(getattr(error, "strerror", None) or error)})
        return 1

    def listen() -> None:
        for _ in sys.stdin:
            say(loop.counters)
        loop.closing.set()

    listener = threading.Thread(target=listen, name="listen", daemon=True)
    say({"ready": True})
    listener.start()
    try:
        loop.run()
    except OSError as error:
        sys.stderr.write(f"responder: {error.strerror or error}\n")
        return 1
    listener.join()
    loop.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
