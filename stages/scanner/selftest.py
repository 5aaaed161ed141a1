"""`longline scan --self-test`: what a scan stands on, checked on this machine, without a packet.

Each check is a function that returns what it looked at in a few words, or raises: `Skip` where the machine does not let
it be looked at, anything else where it is wrong. That packets really come and go is checked by `cli.checkup`, in a
network of its own.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from stages.net import bpf
from stages.net.checksum import checksum, pseudo_sum, sum_bytes, word_sum
from stages.net.jit import kernel
from stages.net.siphash import siphash24
from stages.scanner import probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.probes import NAMES
from stages.scanner.space import Space
from stages.scanner.validation import Tag, tag

State = Literal["ok", "skip", "FAIL"]

#: Sizes of permutations: looked at whole, and at samples.
_WHOLE: Final = 10_007
_LARGE: Final = (1 << 40) + 15
_SAMPLES: Final = 1_000
#: The vector of the SipHash paper (appendix A): key 00..0f, message 00..0e.
_SIPHASH: Final = 0xA129CA6149BE45E5
#: RFC 1071, section 3: the sum of these bytes is 0xddf2.
_RFC_1071: Final = (bytes.fromhex("0001f203f4f5f6f7"), 0xDDF2)
_SECRET: Final = bytes(range(16))
_OURS, _TARGET = 0xC6336402, 10 << 24
_PORTS: Final = (40_000, 40_999)
_FRAMES: Final = 64
_TCP, _UDP, _ICMP = 6, 17, 1


class Skip(Exception):
    """The machine does not let this be looked at; the text says why."""


class Wrong(Exception):
    """Something is not as it must be; the text says what."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the self-test."""

    name: str
    state: State
    text: str

    @property
    def line(self) -> str:
        return f"{self.state:4} {self.name}: {self.text}"


def permutation() -> str:
    """A bijection with its inverse."""
    small = Permutation(_WHOLE, 1)
    if sorted(small.one(i) for i in range(_WHOLE)) != list(range(_WHOLE)):
        raise Wrong(f"the order of {_WHOLE} targets leaves some out")
    large = Permutation(_LARGE, 1)
    at = np.arange(0, _LARGE, _LARGE // _SAMPLES, dtype=np.uint64)
    if not np.array_equal(large.inverse(large.at(at)), at):
        raise Wrong(f"the order of {_LARGE} targets cannot be turned back")
    return f"all of {_WHOLE}, {len(at)} of {_LARGE}"


@kernel
def _tag(k0: np.uint64, k1: np.uint64, source: np.uint64, target: np.uint64, port: np.uint64) -> np.uint64:
    return tag(k0, k1, source, target, port)  # type: ignore[no-any-return]


def hashes() -> str:
    """SipHash-2-4 by its published vector, and the same in a kernel."""
    if siphash24(_SECRET, bytes(range(15))) != _SIPHASH:
        raise Wrong("SipHash-2-4 is not that of its paper")
    k0, k1 = struct.unpack("<QQ", _SECRET)
    made = int(_tag(*(np.uint64(word) for word in (k0, k1, _OURS, _TARGET, 80))))
    if made != Tag.of(_SECRET, _OURS, _TARGET, 80).value:
        raise Wrong("the kernel hashes otherwise than Python")
    return "the vector of the paper, the kernel against Python"


@kernel
def _sum(data: np.ndarray, start: int, end: int) -> int:
    return sum_bytes(data, start, end)  # type: ignore[no-any-return]


def checksums() -> str:
    """The Internet checksum by RFC 1071's example, and the same in a kernel."""
    data, total = _RFC_1071
    if checksum(data) != total ^ 0xFFFF:
        raise Wrong("the checksum is not that of RFC 1071")
    long = np.arange(1501, dtype=np.uint16).astype(np.uint8)
    if int(_sum(long, 0, long.size)) != word_sum(long.tobytes()):
        raise Wrong("the kernel sums otherwise than Python")
    return "RFC 1071, the kernel against Python"


def _frames(name: str) -> Iterator[bytes]:
    module = probes.get(name)
    ports = (80, 443) if module.uses_ports else (0,)
    space = Space.build([(_TARGET, _TARGET + _FRAMES - 1)], ports)
    order = Permutation(space.size, 1)
    builder = FrameBuilder(space, order, module, _SECRET, source_ips=(_OURS,), source_ports=_PORTS, batch=space.size)
    for row in range(builder.fill(0, space.size)):
        yield builder.frame(row)


def templates() -> str:
    """The frames of every probe module: whole, and with right checksums."""
    looked = []
    for name in NAMES:
        try:
            frames = list(_frames(name))
        except ValueError:  # it needs arguments, which only a scan has
            continue
        for frame in frames:
            _check_frame(name, frame)
        looked.append(name)
    if not looked:
        raise Wrong("no probe module makes a frame")
    return ", ".join(looked)


def _check_frame(name: str, frame: bytes) -> None:
    ip, protocol = frame[14:34], frame[23]
    segment = frame[34 : 14 + int.from_bytes(frame[16:18], "big")]
    if frame[12:15] != b"\x08\x00\x45" or checksum(ip):
        raise Wrong(f"{name}: a wrong IP header: {ip.hex()}")
    source, target = struct.unpack("!II", ip[12:20])
    pseudo = 0 if protocol == _ICMP else pseudo_sum(source, target, protocol, len(segment))
    if protocol == _UDP and segment[6:8] == b"\0\0":
        return
    total = word_sum(segment) + pseudo
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    if total != 0xFFFF:
        raise Wrong(f"{name}: a wrong checksum behind the IP header: {segment.hex()}")


def filters() -> str:
    """The kernel takes the filter of every probe module."""
    looked = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for name in NAMES:
            try:
                code = probes.get(name).filter(_PORTS)
            except ValueError:
                continue
            try:
                bpf.attach(sock, code)
            except PermissionError as error:
                raise Skip(f"filters are not allowed here: {error.strerror}") from None
            except OSError as error:
                raise Wrong(f"the kernel refuses the filter of {name}: {error.strerror}") from None
            looked.append(name)
    return ", ".join(looked)


CHECKS: Final[tuple[tuple[str, Callable[[], str]], ...]] = (
    ("permutation", permutation), ("hash", hashes), ("checksum", checksums), ("templates", templates),
    ("filters", filters),
)  # fmt: skip


def run(checks: tuple[tuple[str, Callable[[], str]], ...] = CHECKS) -> Iterator[Result]:
    """Each check's result, as it comes."""
    for name, check in checks:
        try:
            yield Result(name, "ok", check())
        except Skip as reason:
            yield Result(name, "skip", str(reason))
        except Exception as error:
            yield Result(name, "FAIL", f"{error}" if isinstance(error, Wrong) else f"{type(error).__name__}: {error}")
