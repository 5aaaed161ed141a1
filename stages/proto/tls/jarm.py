"""JARM: ten hellos, and one line out of ten answers. Pure.

The hellos and the construction are Salesforce's (https://github.com/salesforce/jarm, 2020), which zgrab2, tlsx and
pyjarm follow too: the same server gives the same 62 characters here and there.

    answer   suite|version|ALPN|extensions    of the ServerHello, `|||` where none came
    hash     10 x (two digits for the suite, one for the version), then the first 32 hex digits of the SHA-256 of all
             ALPNs and extensions

Suites are told by their place in a list of those that were offered, versions by a letter. The hash of a server that
answers nothing is all zeros.

What is read of an answer are its first bytes as they came, as the others do it, with their rules for what has no
extensions: `needed` says how many bytes settle it. The key share is the base point and GREASE has one value
(RFC 8701 lets any do): no server answers these otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, TypeVar

from stages.proto.tls import codes
from stages.proto.tls.codes import TLS10, TLS11, TLS12, TLS13, X25519
from stages.proto.tls.groups import BASE_POINTS
from stages.proto.tls.hello import HelloSpec, extension

T = TypeVar("T")

#: Bytes of an answer that are read, at most.
MAX_ANSWER: Final = 1484

#: What no ServerHello gives.
NOTHING: Final = "|||"

#: The hash of a server that answers none of the ten.
ZERO: Final = "0" * 62

#: Suites in the order in which they are offered, the weakest way of agreeing on a key first.
_SUITES: Final = (
    0x0016, 0x0033, 0x0067, 0xC09E, 0xC0A2, 0x009E, 0x0039, 0x006B, 0xC09F, 0xC0A3, 0x009F, 0x0045, 0x00BE, 0x0088,
    0x00C4, 0x009A, 0xC008, 0xC009, 0xC023, 0xC0AC, 0xC0AE, 0xC02B, 0xC00A, 0xC024, 0xC0AD, 0xC0AF, 0xC02C, 0xC072,
    0xC073, 0xCCA9, 0x1302, 0x1301, 0xCC14, 0xC007, 0xC012, 0xC013, 0xC027, 0xC02F, 0xC014, 0xC028, 0xC030, 0xC060,
    0xC061, 0xC076, 0xC077, 0xCCA8, 0x1305, 0x1304, 0x1303, 0xCC13, 0xC011, 0x000A, 0x002F, 0x003C, 0xC09C, 0xC0A0,
    0x009C, 0x0035, 0x003D, 0xC09D, 0xC0A1, 0x009D, 0x0041, 0x00BA, 0x0084, 0x00C0, 0x0007, 0x0004, 0x0005,
)  # fmt: skip

#: A suite's two digits are its place here: by number, those of TLS 1.3 last; one beyond the end is any other.
_PLACES: Final = {suite: place for place, suite in enumerate(sorted(_SUITES, key=lambda s: (s >> 8 == 0x13, s)), 1)}
_ELSEWHERE: Final = len(_SUITES) + 1

_RARE_PROTOCOLS: Final = (b"http/0.9", b"http/1.0", b"spdy/1", b"spdy/2", b"spdy/3", b"h2c", b"hq")
_PROTOCOLS: Final = (
    b"http/0.9", b"http/1.0", b"http/1.1", b"spdy/1", b"spdy/2", b"spdy/3", b"h2", b"h2c", b"hq",
)  # fmt: skip

_GREASE: Final = 0x0A0A
_MAX_FRAGMENT_LENGTH: Final = 1
_SESSION_TICKET: Final = 35
_PSK_MODES: Final = 45
_GROUPS: Final = bytes.fromhex("0008001d001700180019")
_SIGNATURES: Final = bytes.fromhex("0012040308040401050308050501080606010201")

#: Where the length of the session id stands: behind the headers of record and message, version and random.
_SESSION: Final = 43
#: Bytes from the end of the session id to the length of the extensions, and to where the last mark ends.
_LENGTH, _MARKED = 4, 10

#: The least that tells whether there are extensions: the second mark of their absence stands up to here.
_LEAST: Final = 85
#: Marks of a message that follows where extensions would stand (of servers that Salesforce met).
_MARK_BEHIND: Final = bytes.fromhex("0eac0b")
_MARK_AT_82: Final = bytes.fromhex("0ff00b")


def _forward(items: Sequence[T]) -> list[T]:
    return list(items)


def _reverse(items: Sequence[T]) -> list[T]:
    return list(reversed(items))


def _bottom_half(items: Sequence[T]) -> list[T]:
    return list(items[(len(items) + 1) // 2 :])


def _top_half(items: Sequence[T]) -> list[T]:
    """The middle one, then upwards to the first."""
    return list(reversed(items[: (len(items) + 1) // 2]))


def _middle_out(items: Sequence[T]) -> list[T]:
    """The middle one, then in turn below and above it."""
    middle = len(items) // 2
    out = [items[middle]]
    for step in range(1, middle + 1):
        out += [items[middle + step], items[middle - step]]
    return out


def _vector(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def _hello(
    number: int,
    version: int,
    suites: Sequence[int],
    protocols: Sequence[bytes],
    *,
    versions: Sequence[int] = (),
    grease: bool = False,
) -> HelloSpec:
    """One of the ten. `versions`: those of the supported_versions extension, in order; (): it is not sent."""
    named = b"".join(_vector(name, 1) for name in protocols)
    shares = (extension(_GREASE, b"\0") if grease else b"") + extension(X25519, BASE_POINTS[X25519])
    extensions: list[int | tuple[int, bytes]] = [
        codes.SERVER_NAME,
        codes.EXTENDED_MASTER_SECRET,
        (_MAX_FRAGMENT_LENGTH, b"\1"),
        codes.RENEGOTIATION_INFO,
        (codes.SUPPORTED_GROUPS, _GROUPS),
        codes.EC_POINT_FORMATS,
        (_SESSION_TICKET, b""),
        (codes.ALPN, _vector(named, 2)),
        (codes.SIGNATURE_ALGORITHMS, _SIGNATURES),
        (codes.KEY_SHARE, _vector(shares, 2)),
        (_PSK_MODES, b"\1\1"),
    ]
    greased = [_GREASE] if grease else []
    if grease:
        extensions.insert(0, (_GREASE, b""))
    if versions:
        listed = b"".join(each.to_bytes(2, "big") for each in (*greased, *versions))
        extensions.append((codes.SUPPORTED_VERSIONS, _vector(listed, 1)))
    return HelloSpec(
        name=f"jarm{number}",
        versions=(version,),
        suites=(*greased, *suites),
        extensions=tuple(extensions),
        session_id=True,
        record_version=TLS10 if version == TLS13 else version,
    )


_TO_12: Final = (TLS10, TLS11, TLS12)
_TO_13: Final = (TLS10, TLS11, TLS12, TLS13)
_WITHOUT_13: Final = tuple(suite for suite in _SUITES if suite >> 8 != 0x13)

#: The ten, in their order.
HELLOS: Final = (
    _hello(1, TLS12, _forward(_SUITES), _reverse(_PROTOCOLS), versions=_reverse(_TO_12)),
    _hello(2, TLS12, _reverse(_SUITES), _forward(_PROTOCOLS), versions=_TO_12),
    _hello(3, TLS12, _top_half(_SUITES), _forward(_PROTOCOLS)),
    _hello(4, TLS12, _bottom_half(_SUITES), _forward(_RARE_PROTOCOLS)),
    _hello(5, TLS12, _middle_out(_SUITES), _reverse(_RARE_PROTOCOLS), grease=True),
    _hello(6, TLS11, _forward(_SUITES), _forward(_PROTOCOLS)),
    _hello(7, TLS13, _forward(_SUITES), _reverse(_PROTOCOLS), versions=_reverse(_TO_13)),
    _hello(8, TLS13, _reverse(_SUITES), _forward(_PROTOCOLS), versions=_TO_13),
    _hello(9, TLS13, _forward(_WITHOUT_13), _forward(_PROTOCOLS), versions=_TO_13),
    _hello(10, TLS13, _middle_out(_SUITES), _reverse(_PROTOCOLS), versions=_reverse(_TO_13), grease=True),
)


def _is_hello(data: bytes) -> bool:
    return len(data) > 5 and data[0] == codes.HANDSHAKE and data[5] == codes.SERVER_HELLO


def needed(data: bytes) -> int:
    """How many bytes of an answer that begins with `data` settle what it says; at most MAX_ANSWER."""
    if len(data) < 6:
        return 6
    if not _is_hello(data):
        return len(data)
    if len(data) <= _SESSION:
        return _LEAST
    at = _SESSION + data[_SESSION]
    end = at + _MARKED
    if len(data) >= at + _LENGTH + 2 and not _bare(data, at):
        end = max(end, at + _LENGTH + 2 + int.from_bytes(data[at + _LENGTH : at + _LENGTH + 2], "big"))
    return min(MAX_ANSWER, max(_LEAST, end))


def _bare(data: bytes, at: int) -> bool:
    """The ServerHello ends with its compression method, and another message or record follows."""
    return data[at + _LENGTH] == codes.CERTIFICATE or at - 1 >= int.from_bytes(data[3:5], "big")


def answer_of(data: bytes) -> str:
    """What an answer says. `data`: its first bytes, `needed` of them, or all that came."""
    data = data[:MAX_ANSWER]
    if not _is_hello(data) or len(data) <= _SESSION:
        return NOTHING
    at = _SESSION + data[_SESSION]
    if len(data) < at + 3:
        return NOTHING
    return f"{data[at + 1 : at + 3].hex()}|{data[9:11].hex()}|{_extensions(data, at)}"


def _extensions(data: bytes, at: int) -> str:
    """`ALPN|extensions`; `at` is the last byte of the session id."""
    length = at + _LENGTH
    if (
        len(data) < _LEAST
        or len(data) < at + _MARKED
        or _bare(data, at)
        or data[at + _MARKED - 3 : at + _MARKED] == _MARK_BEHIND
        or data[82:85] == _MARK_AT_82
    ):
        return "|"
    here = length + 2
    end = here + int.from_bytes(data[length : length + 2], "big") - 1
    kinds: list[str] = []
    protocol: bytes | None = None
    while here < end and here + 4 <= len(data):
        kind = data[here : here + 2]
        kinds.append(kind.hex())
        size = int.from_bytes(data[here + 2 : here + 4], "big")
        if here + 4 + size > len(data):
            break
        if kind == b"\0\x10" and size >= 4 and protocol is None:
            protocol = data[here + 7 : here + 4 + size]
        here += 4 + size
    name = "" if protocol is None else protocol.decode("latin-1")
    return f"{name}|{'-'.join(kinds)}"


def hash_of(answers: Sequence[str]) -> str:
    """62 characters. `answers`: ten of `answer_of`, in the order of HELLOS. Raises ValueError: not that."""
    if len(answers) != len(HELLOS):
        raise ValueError(f"{len(answers)} answers, not {len(HELLOS)}")
    if all(answer == NOTHING for answer in answers):
        return ZERO
    fuzzy, rest = "", ""
    for answer in answers:
        suite, version, tail = answer.split("|", 2)
        protocol, _, kinds = tail.rpartition("|")
        fuzzy += _place(suite) + _letter(version)
        rest += protocol + kinds
    return fuzzy + sha256(rest.encode("latin-1")).hexdigest()[:32]


def _place(suite: str) -> str:
    return f"{_PLACES.get(int(suite, 16), _ELSEWHERE):02x}" if suite else "00"


def _letter(version: str) -> str:
    minor = version[3:4]
    return chr(ord("a") + int(minor)) if minor.isdigit() else "0"
