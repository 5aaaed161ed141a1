"""Exact lists: a file with one address a line, read into a sorted array. For lists of many million addresses.

Lines that are nothing but an IPv4 address are read many at a time by numpy; what else may stand there (IPv6 addresses,
comments behind `#`, empty lines, spaces) one by one. Networks, ranges and names are errors: a list of this kind says
exactly who is to be probed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stages.core.errors import ListError, UsageError
from stages.core.netset import parse_address
from stages.core.ranges import Ranges
from stages.scanner.space import U32Array

#: Bytes of the file that are looked at together. A line may not be longer.
_AT_ONCE: Final = 1 << 22

_OPTION: Final = "-I/--list-of-ips-file"
_NEWLINE, _RETURN, _DOT, _ZERO = 10, 13, 46, 48


@dataclass(frozen=True, slots=True)
class IpList:
    """The addresses of a file, each once."""

    file: str
    v4: U32Array  #: sorted
    v6: Ranges

    @property
    def size(self) -> int:
        return int(self.v4.size) + self.v6.size


def read_list(file: str) -> IpList:
    """Read a list. Raises UsageError for a file that cannot be read or names nobody, ListError for a line."""
    parts: list[U32Array] = []
    v6: list[tuple[int, int]] = []
    line, rest = 1, b""
    try:
        with Path(file).open("rb") as source:
            while data := source.read(_AT_ONCE):
                whole, newline, rest = (rest + data).rpartition(b"\n")
                if len(rest) > _AT_ONCE:
                    raise ListError(file, line, rest[:20].decode("ascii", "replace"), "a line without an end")
                line += _read(file, line, whole + newline, parts, v6)
            if rest:
                _read(file, line, rest + b"\n", parts, v6)
    except OSError as error:
        raise UsageError(_OPTION, file, error.strerror or str(error)) from None
    addresses = np.concatenate([np.empty(0, np.uint32), *parts])
    addresses.sort()
    each_once = np.ones(addresses.shape, np.bool_)
    np.not_equal(addresses[1:], addresses[:-1], out=each_once[1:])
    found = IpList(file, addresses[each_once], Ranges.of(v6))
    if not found.size:
        raise UsageError(_OPTION, file, "no address is on the list")
    return found


def _read(file: str, line: int, data: bytes, parts: list[U32Array], v6: list[tuple[int, int]]) -> int:
    """Whole lines, the first of which is number `line`; returns how many."""
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    starts = np.concatenate([[0], ends[:-1] + 1]) if ends.size else ends
    values, plain = _plain(text, starts, ends)
    parts.append(values[plain])
    odd: list[int] = []
    for i in np.flatnonzero(~plain).tolist():
        entry = data[starts[i] : ends[i]].partition(b"#")[0].decode("utf-8", "replace").strip()
        if not entry:
            continue
        try:
            version, number = parse_address(entry)
        except ValueError:
            raise ListError(file, line + i, entry, "not an address; a list of addresses has one a line") from None
        if version == 4:
            odd.append(number)
        else:
            v6.append((number, number))
    parts.append(np.array(odd, np.uint32))
    return len(ends)


def _plain(
    text: npt.NDArray[np.uint8], starts: npt.NDArray[Any], ends: npt.NDArray[Any]
) -> tuple[U32Array, npt.NDArray[np.bool_]]:
    """The IPv4 address of each line, and whether the line is one in the usual form and nothing besides."""
    ends = ends - ((ends > starts) & (text[np.maximum(ends - 1, 0)] == _RETURN))
    dots = np.flatnonzero(text == _DOT)
    first = np.searchsorted(dots, starts)
    plain = np.searchsorted(dots, ends) - first == 3
    values = np.zeros(len(starts), np.uint32)
    at = first[plain]
    marks = (starts[plain] - 1, dots[at], dots[at + 1], dots[at + 2], ends[plain])
    good = np.ones(len(at), np.bool_)
    number = np.zeros(len(at), np.uint32)
    for low, high in pairwise(marks):
        digits = high - low - 1
        octet = np.zeros(len(at), np.uint32)
        for place, factor in ((1, 1), (2, 10), (3, 100)):
            there = digits >= place
            digit = np.where(there, text[np.maximum(high - place, 0)] - np.uint8(_ZERO), 0).astype(np.uint32)
            good &= digit <= 9
            octet += digit * np.uint32(factor)
        leading_zero = (digits > 1) & (octet < np.where(digits == 3, 100, 10))
        good &= (digits >= 1) & (digits <= 3) & (octet <= 255) & ~leading_zero
        number = (number << np.uint32(8)) | octet
    values[plain] = number
    plain[plain] = good
    return values, plain
