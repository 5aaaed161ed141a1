"""What a connection to the responder hears, byte for byte: a function of (address, port, seed), for kernel and truth.

    text = head, so many letters of the address's own, tail

`Talk` carries the texts into the kernels. The flights of TLS are real bytes with real certificates (`flights`), made
once by who builds the network and handed to responder and truth alike: their keys are new each time. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from stages.net.jit import kernel, piece
from stages.simnet.responder_draws import GOLDEN, ROLL, below, chosen, mix
from stages.simnet.responder_spec import Reaction, Responder, Says

#: Segments of an answer, so that it fits the rows that are free for one probe.
MAX_SEGMENTS: Final = 3

#: Texts by number: kept open, closed, a greeting; the flights of TLS stand behind.
_HTTP, _CLOSE, _GREETING, _FLIGHTS = range(4)
_LETTERS_OF_A_GREETING: Final = 16
_HEAD: Final = (
    "HTTP/1.1 200 OK\r\nServer: simnet\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n"
)

_S2, _FOUR, _FIFTEEN, _A = np.uint64(2), np.uint64(4), np.uint64(15), np.uint64(ord("a"))

_K_HTTP, _K_GREETING, _K_TLS, _K_MUTE = int(Says.HTTP), int(Says.GREETING), int(Says.TLS), int(Says.MUTE)
_K_DEAF, _K_CLOSE, _K_RESET = int(Says.DEAF), int(Says.CLOSE), int(Says.RESET)
_SYNACK, _BARE, _DUPLICATE = int(Reaction.SYNACK), int(Reaction.BARE), int(Reaction.DUPLICATE)
_DELAYED, _FORGED_FIRST = int(Reaction.DELAYED), int(Reaction.FORGED_FIRST)

#: Who goes on behind the handshake, and is not a trap.
CONVERSES: Final = (
    Reaction.SYNACK, Reaction.BARE, Reaction.DUPLICATE, Reaction.DELAYED, Reaction.FORGED_FIRST,
)  # fmt: skip


class Talk(NamedTuple):
    """What is said, for kernels."""

    ends: Any  # u64: upper ends of the intervals of a roll, as of the reactions
    kinds: Any  # u8
    bytes: Any  # u8: all heads and tails
    shapes: Any  # i64, texts x (head at, its size, letters, tail at, its size)
    segment: Any  # i64: bytes of a segment at most
    back: Any  # u64: a roll below it: the answer is lost
    again: Any  # i64, nanoseconds until what was lost comes again


def talk_of(responder: Responder, flights: Sequence[bytes] = ()) -> Talk:
    """Raises ValueError: an answer is longer than MAX_SEGMENTS segments, or there is TLS without a flight."""
    if responder.says.get("tls") and not flights:
        raise ValueError("connections speak TLS, and there is no flight")
    # Nobody makes rows larger for what nobody says.
    body = responder.body if responder.says.keys() & {"http", "close", "reset"} else 0
    parts: list[tuple[bytes, int, bytes]] = [
        *((_HEAD.format(body, word).encode(), body, b"") for word in ("keep-alive", "close")),
        (b"220 ", _LETTERS_OF_A_GREETING, b".simnet.example ready\r\n"),
        *((flight, 0, b"") for flight in flights if responder.says.get("tls")),
    ]
    longest = max(len(head) + letters + len(tail) for head, letters, tail in parts)
    if responder.says and longest > MAX_SEGMENTS * responder.segment:
        raise ValueError(f"an answer of {longest} bytes is more than {MAX_SEGMENTS} segments of {responder.segment}")
    data, shapes = b"", []
    for head, letters, tail in parts:
        shapes.append((len(data), len(head), letters, len(data) + len(head), len(tail)))
        data += head + tail
    ends, kinds, total = [], [], 0.0
    for name, share in responder.says.items():
        total += share
        ends.append(min(ROLL, round(total * ROLL)))
        kinds.append(Says[name.upper()])
    return Talk(
        np.array(ends, np.uint64),
        np.array([*kinds, Says.DEAF], np.uint8),
        np.frombuffer(data, np.uint8).copy(),
        np.array(shapes, np.int64),
        responder.segment,
        np.uint64(round(responder.back * ROLL)),
        round(responder.again * 1e9),
    )


def longest(talk: Talk) -> int:
    """Bytes of the longest segment that anybody sends; 0: everybody is deaf."""
    if not talk.ends.size:
        return 0
    return min(int(talk.segment), int((talk.shapes[:, 1] + talk.shapes[:, 2] + talk.shapes[:, 4]).max()))


@piece
def voice_of(detail: Any) -> Any:
    """64 bits more of an (address, port), behind `responder_truth.details`: how it talks."""
    return mix(detail + GOLDEN)


@piece
def says_of(talk: Any, kind: Any, voice: Any) -> Any:
    """The value of `Says` of a connection that began with reaction `kind`."""
    if kind not in (_SYNACK, _BARE, _DUPLICATE, _DELAYED, _FORGED_FIRST):
        return np.int64(_K_DEAF)
    return np.int64(talk.kinds[chosen(voice, talk.ends)])


@piece
def text_of(talk: Any, says: Any, voice: Any) -> Any:
    """(number of the text, bytes of it that are said)."""
    if says in (_K_MUTE, _K_DEAF):
        return np.int64(_HTTP), np.int64(0)
    text = np.int64(_CLOSE)
    if says == _K_HTTP:
        text = np.int64(_HTTP)
    elif says == _K_GREETING:
        text = np.int64(_GREETING)
    elif says == _K_TLS:
        text = np.int64(_FLIGHTS) + np.int64(voice & np.uint64(0xFFFF)) % (talk.shapes.shape[0] - _FLIGHTS)
    size = talk.shapes[text, 1] + talk.shapes[text, 2] + talk.shapes[text, 4]
    return text, size // 2 if says == _K_RESET else size


@piece
def write_text(out: Any, at: Any, talk: Any, text: Any, voice: Any, first: Any, last: Any) -> None:
    """Bytes first .. last - 1 of a text, at out[at:] (u8)."""
    head, letters = talk.shapes[text, 1], talk.shapes[text, 2]
    start, tail = talk.shapes[text, 0], talk.shapes[text, 3]
    for k in range(first, min(last, head)):
        out[at + k - first] = talk.bytes[start + k]
    k = max(first, head)
    until = min(last, head + letters)
    while k < until:
        index = np.uint64(k - head)
        bits = mix(voice + ((index >> _FOUR) + np.uint64(1)) * GOLDEN) >> ((index & _FIFTEEN) << _S2)
        run = min(until - k, 16 - np.int64(index & _FIFTEEN))
        for i in range(run):
            out[at + k - first + i] = _A + (bits & _FIFTEEN)
            bits >>= _FOUR
        k += run
    for k in range(max(first, head + letters), last):
        out[at + k - first] = talk.bytes[tail + k - head - letters]


@kernel
def says_all(talk: Any, kinds: Any, voices: Any, out: Any) -> None:
    """The `Says` of each (reaction, voice): u8, u64 -> u8."""
    for i in range(kinds.size):
        out[i] = says_of(talk, np.int64(kinds[i]), voices[i])


@kernel
def say(talk: Any, says: Any, voice: Any, out: Any) -> Any:
    """Write what is said into `out` (u8); returns its size."""
    text, size = text_of(talk, says, voice)
    write_text(out, 0, talk, text, voice, 0, size)
    return size


@piece
def is_lost_back(talk: Any, h: Any) -> Any:
    """Whether the answer with this chance is lost."""
    return below(h, talk.back)
