"""Half-open connections made and continued, told as JSON on standard output. What to do is JSON on standard input:
count, base, port, mode (fixed, talk), fixed {...}, close, stamps, options (hex), max_bytes, capacity."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from typing import Any

from stages.net.continuation import Continuation, Ended, Fixed, Link
from stages.net.conversation import Conversation
from tests.servers.halfopens import OPTIONS, WSCALE, half_open

OURS = 0xC6336402
WAIT_S = 60.0


class Ask:
    """Says `first` when connected, reads until the peer closes or `enough` bytes are there."""

    idle, total = 5.0, 60.0

    def __init__(self, first: bytes, enough: int, farewell: bytes = b"") -> None:
        self._first, self._enough, self._last = first, enough, farewell
        self.size = 0
        self.introduced: tuple[str, int, int] | None = None

    def local(self, address: str, port: int, microseconds: int) -> None:
        self.introduced = address, port, microseconds

    def opening(self) -> bytes:
        return self._first

    def wait(self) -> float:
        return 5.0

    def silence(self) -> bytes | None:
        return None

    def receive(self, data: bytes) -> bytes | None:
        self.size += len(data)
        return None if self._enough and self.size >= self._enough else b""

    def farewell(self) -> bytes:
        return self._last

    def eof(self) -> bytes | None:
        return None


def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    base, count = asked["base"], asked["count"]
    options = bytes.fromhex(asked["options"]) if "options" in asked else OPTIONS
    ports = asked.get("ports", [asked.get("port", 80)])
    told: list[dict[str, Any]] = []
    done = threading.Event()

    def on_ended(batch: Ended) -> None:
        for row in batch.rows:
            body = batch.body(row)
            told.append(
                {name: row[name].item() for name in row.dtype.names}
                | {"sha": hashlib.sha256(body).hexdigest(), "text": body[:64].decode("latin-1")}
            )
        if len(told) >= len(half):
            done.set()

    def on_conversations(batch: list[Conversation]) -> None:
        for c in batch:
            told.append({
                "tag": c.tag, "host": c.host, "port": c.port, "size": c.size, "phase": c.phase, "errno": c.errno,
                "failed": c.failed, "timed_out": c.timed_out, "closed_by": c.closed_by, "sent": c.sent,
                "started": c.started, "connected": c.connected, "first_byte": c.first_byte, "ended": c.ended,
                "truncated": c.truncated, "fault": None if c.fault is None else repr(c.fault),
                "sha": hashlib.sha256(c.body).hexdigest(), "text": c.body[:64].decode("latin-1"),
                "introduced": c.dialogue.introduced,
            })  # fmt: skip
        if len(told) >= len(half):
            done.set()

    fixed = dict(asked.get("fixed", {}))
    if "payload" in fixed:
        fixed["payload"] = fixed["payload"].encode("latin-1")
    mac = bytes.fromhex(asked["mac"]) if "mac" in asked else None
    engine = Continuation(
        Link("near0", source_mac=bytes.fromhex("020000000009"), gateway_mac=mac),
        (40_000, 59_999),
        fixed=Fixed(**fixed) if asked.get("mode") != "talk" else None,
        close=asked.get("close", "fin"),
        capacity=asked.get("capacity", 10_000),
        own_wscale=WSCALE if options == OPTIONS else -1,
        control=bytes(range(16)) if asked.get("control") else None,
        on_ended=on_ended,
        on_conversations=on_conversations,
    )
    engine.start()
    targets = [(base + i // len(ports), ports[i % len(ports)]) for i in range(count)]
    half = half_open("near0", OURS, targets, options=options, stamps=asked.get("stamps", False))
    begun = time.perf_counter()
    if asked.get("mode") == "reset":
        assert engine.reset(half) == len(half)
        done.set()
    elif asked.get("mode") == "talk":
        for row in half:
            words = asked.get("first", "").encode("latin-1")
            assert engine.talk(row, Ask(words, asked.get("enough", 0)), int(row["tag"]), max_bytes=1 << 24)
    else:
        assert engine.put(half) == len(half)
    finished = done.wait(WAIT_S)
    seconds = time.perf_counter() - begun
    open_then = engine.open
    engine.close(10)
    print(
        json.dumps({
            "half": len(half), "finished": finished, "told": told, "counters": engine.counters, "seconds": seconds,
            "error": None if engine.error is None else str(engine.error), "open": open_then, "left": engine.open,
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
