"""Text written by kernels: what a JSON line is made of, put at `at` of a u8 array, each piece returning where it ended.

No bounds are checked: who calls has made room for the longest that a row can become.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net.jit import piece
from stages.net.wide import copy_bytes

#: The longest that each piece writes: a u64, a dotted quad, seconds with microseconds, a time.
NUMBER, QUAD, SECONDS, TIME = 20, 15, 20, 27

_ZERO, _DOT, _DASH, _COLON = ord("0"), ord("."), ord("-"), ord(":")
_PAD, _T, _Z = ord("="), ord("T"), ord("Z")
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_BASE64 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)
_TEXTS = np.frombuffer(b"nulltruefalse", np.uint8)
_NULL, _TRUE, _FALSE = (0, 4), (4, 4), (8, 5)
_MICROSECONDS: Final = 1_000_000
_DAY: Final = 86_400
#: Days of 400 years, and from 0000-03-01 to 1970-01-01 (RFC 3339 counts as the Gregorian calendar always did).
_ERA, _EPOCH = 146_097, 719_468
_S4, _S8 = np.uint64(4), np.uint64(8)
_LOW4 = np.uint64(15)
_LOW8 = np.uint64(255)


@piece
def part_of(out: Any, at: Any, text: Any, places: Any, number: Any) -> Any:
    """The n-th of `linebatch.Parts`."""
    size = places[number + 1] - places[number]
    copy_bytes(out, at, text, places[number], size)
    return at + size


@piece
def null(out: Any, at: Any) -> Any:
    copy_bytes(out, at, _TEXTS, _NULL[0], _NULL[1])
    return at + _NULL[1]


@piece
def flag(out: Any, at: Any, value: Any) -> Any:
    """true or false."""
    if value:
        copy_bytes(out, at, _TEXTS, _TRUE[0], _TRUE[1])
        return at + _TRUE[1]
    copy_bytes(out, at, _TEXTS, _FALSE[0], _FALSE[1])
    return at + _FALSE[1]


@piece
def fixed(out: Any, at: Any, value: Any, digits: Any) -> Any:
    """A number with so many digits, zeros in front."""
    rest = np.int64(value)
    for i in range(at + digits - 1, at - 1, -1):
        out[i] = _ZERO + rest % 10
        rest //= 10
    return at + digits


@piece
def number(out: Any, at: Any, value: Any) -> Any:
    """A number that is not negative."""
    value = np.int64(value)
    digits, limit = 1, np.int64(10)
    while value >= limit and digits < NUMBER - 2:
        digits += 1
        limit *= 10
    return fixed(out, at, value, digits)


@piece
def quad(out: Any, at: Any, address: Any) -> Any:
    """32 bits as a dotted quad."""
    address = np.int64(address)
    at = number(out, at, address >> 24)
    for shift in (16, 8, 0):
        out[at] = _DOT
        at = number(out, at + 1, address >> shift & 255)
    return at


@piece
def seconds(out: Any, at: Any, value: Any) -> Any:
    """Seconds (f8, not negative) to the microsecond; NaN as null."""
    if np.isnan(value):
        return null(out, at)
    whole = np.int64(np.rint(value * _MICROSECONDS))
    at = number(out, at, whole // _MICROSECONDS)
    out[at] = _DOT
    return fixed(out, at + 1, whole % _MICROSECONDS, 6)


@piece
def time(out: Any, at: Any, us: Any) -> Any:
    """Microseconds since the epoch, of a year up to 9999, in RFC 3339's form: `2026-11-21T07:10:00.000001Z`."""
    whole, rest = us // _MICROSECONDS, us % _MICROSECONDS
    days, second = whole // _DAY, whole % _DAY
    # Years begin with March here: February, whose length varies, is their end.
    days += _EPOCH
    era, day = days // _ERA, days % _ERA
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    month += 3 if month < 10 else -9
    year += 400 * era + (1 if month <= 2 else 0)
    at = fixed(out, at, year, 4)
    for value, before in ((month, _DASH), (day + 1, _DASH), (second // 3600, _T), (second // 60 % 60, _COLON),
                          (second % 60, _COLON)):  # fmt: skip
        out[at] = before
        at = fixed(out, at + 1, value, 2)
    out[at] = _DOT
    at = fixed(out, at + 1, rest, 6)
    out[at] = _Z
    return at + 1


@piece
def word(out: Any, at: Any, value: Any) -> Any:
    """The eight bytes of a little-endian word as hexadecimal digits."""
    for _ in range(8):
        byte = value & _LOW8
        out[at] = _HEX[byte >> _S4]
        out[at + 1] = _HEX[byte & _LOW4]
        value >>= _S8
        at += 2
    return at


@piece
def hexadecimal(out: Any, at: Any, data: Any, first: Any, count: Any) -> Any:
    """data[first : first + count]."""
    for i in range(first, first + count):
        out[at] = _HEX[data[i] >> 4]
        out[at + 1] = _HEX[data[i] & 15]
        at += 2
    return at


@piece
def base64(out: Any, at: Any, data: Any, first: Any, count: Any) -> Any:
    """data[first : first + count] in RFC 4648's base 64, padded."""
    end = first + count - count % 3
    for i in range(first, end, 3):
        bits = np.int64(data[i]) << 16 | np.int64(data[i + 1]) << 8 | np.int64(data[i + 2])
        out[at] = _BASE64[bits >> 18]
        out[at + 1] = _BASE64[bits >> 12 & 63]
        out[at + 2] = _BASE64[bits >> 6 & 63]
        out[at + 3] = _BASE64[bits & 63]
        at += 4
    left = count % 3
    if left:
        bits = np.int64(data[end]) << 16 | (np.int64(data[end + 1]) << 8 if left == 2 else np.int64(0))
        out[at] = _BASE64[bits >> 18]
        out[at + 1] = _BASE64[bits >> 12 & 63]
        out[at + 2] = _BASE64[bits >> 6 & 63] if left == 2 else _PAD
        out[at + 3] = _PAD
        at += 4
    return at
