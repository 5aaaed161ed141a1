"""Frame templates, built by scapy once and kept.

scapy knows every field of every header, takes most of a second to import, and is GPL-2.0-only: so it runs in a short
helper process (`python -m stages.scanner.templates`), and what it built is kept in the user's cache directory under a
name that holds a digest of this file. Without a cache directory the helper runs at each start; nothing else changes.

A template is a whole Ethernet frame with zeros where a fill kernel writes: MACs, IP id, checksums, addresses, ports,
sequence numbers, timestamp. The same helper prints frames as scapy shows them (`show`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

#: scapy imports in under a second; a loaded machine may take long, a hung one must not hang the scan.
_HELPER_SECONDS: Final = 60
_DIGEST_BYTES: Final = 32
_MSS: Final = 1460  # 1500 bytes of Ethernet less 40 of headers
#: IP time to live of the template; the frame builder writes the real one.
_TTL: Final = 64


class TemplateError(OSError):
    """The helper process could not build a template."""


def get(probe: str, args: str) -> bytes:
    """The frame template of a probe module with its arguments. Raises TemplateError."""
    key = hashlib.blake2b(f"{probe}\0{args}\0".encode() + Path(__file__).read_bytes(), digest_size=16).hexdigest()
    file = _cache_directory() / f"{probe}-{key}.frame"
    frame = _read(file)
    if frame is None:
        frame = bytes.fromhex(_helper(["build", probe, args]))
        _write(file, frame)
    return frame


def show(frames: Iterable[bytes]) -> str:
    """Frames as scapy's `show()` prints them. Raises TemplateError."""
    return _helper(["show"], "\n".join(frame.hex() for frame in frames))


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "longline" / "templates"


def _read(file: Path) -> bytes | None:
    """The frame in a cache file; None if there is none or it is damaged."""
    try:
        raw = file.read_bytes()
    except OSError:
        return None
    frame = raw[_DIGEST_BYTES:]
    return frame if frame and hashlib.sha256(frame).digest() == raw[:_DIGEST_BYTES] else None


def _write(file: Path, frame: bytes) -> None:
    """Keep a frame, whole or not at all. A cache that cannot be written costs time at the next start, no more."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as temporary:
            temporary.write(hashlib.sha256(frame).digest() + frame)
        os.replace(temporary.name, file)


def _helper(argv: list[str], text: str = "") -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "stages.scanner.templates", *argv],
            input=text, capture_output=True, text=True, timeout=_HELPER_SECONDS, check=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise TemplateError(f"the template helper failed: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise TemplateError(f"the template helper did not end within {_HELPER_SECONDS} s") from error
    except OSError as error:
        raise TemplateError(f"the template helper cannot be started: {error.strerror or error}") from error
    return done.stdout


def _tcp_options(name: str) -> list[tuple[str, Any]]:
    """TCP options as the systems named send them; `smallest-probes` has what most networks ask for."""
    stamp: tuple[str, Any] = ("Timestamp", (0, 0))
    sets: dict[str, list[tuple[str, Any]]] = {
        "smallest-probes": [("MSS", _MSS)],
        "bsd": [
            ("MSS", _MSS), ("NOP", None), ("WScale", 6), ("NOP", None), ("NOP", None), stamp,
            ("SAckOK", b""), ("EOL", None), ("EOL", None),
        ],
        "windows": [("MSS", _MSS), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")],
        "linux": [("MSS", _MSS), ("SAckOK", b""), stamp, ("NOP", None), ("WScale", 7)],
    }  # fmt: skip
    return sets[name]


#: First window of each system; ZMap sends 65,535 always.
_WINDOWS: Final = {"smallest-probes": 65535, "bsd": 65535, "windows": 64240, "linux": 64240}


def _build(probe: str, args: str) -> bytes:
    """In the helper process: the template, by scapy."""
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    mac = "00:00:00:00:00:00"
    below = Ether(dst=mac, src=mac, type=0x0800) / IP(
        src="0.0.0.0", dst="0.0.0.0", id=0, ttl=_TTL, chksum=0, flags="DF" if probe.startswith("tcp") else 0
    )
    if probe.startswith("tcp"):
        flags = "SA" if probe == "tcp_synackscan" else "S"
        layer4 = TCP(sport=0, dport=0, seq=0, flags=flags, chksum=0, window=_WINDOWS[args], options=_tcp_options(args))
    elif probe == "udp":
        layer4 = UDP(sport=0, dport=0, chksum=0) / Raw(bytes.fromhex(args))
    else:
        layer4 = ICMP(type=8, code=0, id=0, seq=0, chksum=0) / Raw(bytes.fromhex(args))
    return bytes(below / layer4)


def main(argv: list[str]) -> int:
    """`build PROBE ARGS` prints a frame in hex; `show` prints the frames that come in hex, one a line."""
    if argv[0] == "build":
        print(_build(argv[1], argv[2]).hex())
        return 0
    import scapy.layers.inet  # noqa: F401  # registers the layers that Ether reads
    from scapy.layers.l2 import Ether

    for line in sys.stdin:
        print(Ether(bytes.fromhex(line)).show(dump=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
