"""BLAKE2b (RFC 7693) of 128 bits without a key, for kernels: many short messages that begin with the same bytes.

The ids of records are such hashes (`stages.core.records.record_id`). A kernel that writes lines needs two a line, and
going back to Python for them costs more than the line. Everywhere else it is hashlib's.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net.jit import piece
from stages.net.wide import copy_bytes

#: Bytes of a block, and of the hash as hexadecimal digits.
BLOCK: Final = 128
DIGITS: Final = 32

_WORDS: Final = 16
_STATE: Final = 8
_ROUNDS: Final = 12
#: RFC 7693 2.6: the initial state is that of SHA-512.
_IV = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1, 0x510E527FADE682D1,
        0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ], np.uint64,
)  # fmt: skip
#: 2.5, parameter block: 16 bytes of hash, no key, fan-out and depth 1.
_PARAMETERS = np.uint64(0x01010010)
#: RFC 7693 2.7: which word of the message goes where, round by round; the last two repeat the first.
_ORDER = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4], [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13], [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11], [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5], [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ], np.int64,
)  # fmt: skip
_S16, _S24, _S32, _S40, _S48, _S63, _S1 = (np.uint64(n) for n in (16, 24, 32, 40, 48, 63, 1))
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@piece
def _mix(v: Any, a: Any, b: Any, c: Any, d: Any, x: Any, y: Any) -> None:
    """RFC 7693 3.1, G."""
    v[a] = v[a] + v[b] + x
    v[d] ^= v[a]
    v[d] = v[d] >> _S32 | v[d] << _S32
    v[c] = v[c] + v[d]
    v[b] ^= v[c]
    v[b] = v[b] >> _S24 | v[b] << _S40
    v[a] = v[a] + v[b] + y
    v[d] ^= v[a]
    v[d] = v[d] >> _S16 | v[d] << _S48
    v[c] = v[c] + v[d]
    v[b] ^= v[c]
    v[b] = v[b] >> _S63 | v[b] << _S1


@piece
def _compress(h: Any, m: Any, v: Any, count: Any, last: Any) -> None:
    """RFC 7693 3.2, F: the first 16 words of `m` into `h`; `count`: bytes up to their end. `v` is scratch."""
    for i in range(_STATE):
        v[i] = h[i]
        v[i + _STATE] = _IV[i]
    v[12] ^= np.uint64(count)
    if last:
        v[14] ^= _ALL
    for turn in range(_ROUNDS):
        s = _ORDER[turn]
        _mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]])
        _mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]])
        _mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]])
        _mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]])
        _mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]])
        _mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]])
        _mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]])
        _mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]])
    for i in range(_STATE):
        h[i] ^= v[i] ^ v[i + _STATE]


@piece
def scratch() -> Any:
    """What `begin` and `finish` work in: the words of two blocks, the same as bytes, the state, and its copy."""
    words = np.zeros(2 * _WORDS, np.uint64)
    return words, words.view(np.uint8), np.zeros(_STATE, np.uint64), np.zeros(_WORDS, np.uint64)


@piece
def begin(state: Any, lead: Any, work: Any) -> Any:
    """Hash what all messages begin with into `state` (8 words), as far as it fills blocks.

    Returns how many bytes that were; each message begins with the rest, and does not end with it."""
    words, data, _, v = work
    for i in range(_STATE):
        state[i] = _IV[i]
    state[0] ^= _PARAMETERS
    done = 0
    while lead.size - done >= BLOCK:
        copy_bytes(data, 0, lead, done, BLOCK)
        done += BLOCK
        _compress(state, words, v, done, False)
    return done


@piece
def finish(state: Any, done: Any, size: Any, work: Any) -> Any:
    """The hash, as two little-endian words, of a message of which `done` bytes are in `state` and the `size` others
    (1 to two blocks) stand in the scratch's bytes, from the first on. What stands there is lost."""
    words, data, h, v = work
    for i in range(_STATE):
        h[i] = state[i]
    data[size:] = 0
    if size > BLOCK:
        _compress(h, words, v, done + BLOCK, False)
        for i in range(_WORDS):
            words[i] = words[i + _WORDS]
    _compress(h, words, v, done + size, True)
    return h[0], h[1]
