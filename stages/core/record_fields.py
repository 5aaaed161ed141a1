"""Readers of single fields of a record in JSON: the value, or RecordError with the field's name and what stands there.

Pure. `stages.core.records` reads whole records with them.
"""

from __future__ import annotations

from binascii import Error as _Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeVar

from stages.core.errors import RecordError
from stages.core.outcome import DeadReason
from stages.core.times import from_rfc3339

_E = TypeVar("_E", bound=StrEnum)


def bad(detail: str) -> NoReturn:
    """Raise the RecordError that every reader here raises: the record is not as it should be."""
    raise RecordError(DeadReason.SCHEMA, detail)


def text(d: dict[str, Any], key: str) -> str:
    """A string that must be there."""
    value = d.get(key)
    if not isinstance(value, str):
        bad(f"{key} is {value!r}, not a string")
    return value


def optional(d: dict[str, Any], key: str, kind: type | tuple[type, ...]) -> Any:
    """A value of `kind` (true and false are no numbers), or None where there is none."""
    value = d.get(key)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        bad(f"{key} is {value!r}")
    return value


#: A field's key, the types that it may be of, and what an error says it should be.
Typed = tuple[str, frozenset[type], str]


def of_types(keys: str, *types: type, wanted: str = "") -> list[Typed]:
    """For `check`: these fields, with blanks between them, are of one of these types."""
    return [(key, frozenset(types), wanted) for key in keys.split()]


def check(d: dict[str, Any], fields: Sequence[Typed]) -> None:
    """That each field is of one of its types, exactly; the text says what it should be. For many fields at once: a call
    for each costs more than the check."""
    get = d.get
    for key, kinds, wanted in fields:
        if type(get(key)) not in kinds:
            bad(f"{key} is {get(key)!r}{wanted}")


def flag(d: dict[str, Any], key: str) -> bool:
    """true or false; what is missing is false."""
    value = d.get(key)
    if value is not None and not isinstance(value, bool):
        bad(f"{key} is {value!r}, not true or false")
    return value is True


def optional_flag(d: dict[str, Any], key: str) -> bool | None:
    """true, false, or None where there is neither."""
    value = d.get(key)
    if value is not None and not isinstance(value, bool):
        bad(f"{key} is {value!r}, not true or false")
    return value


def time(d: dict[str, Any], key: str = "ts") -> int:
    """Microseconds since the epoch, of an RFC 3339 time that must be there."""
    try:
        return from_rfc3339(text(d, key))
    except ValueError:
        bad(f"{key} is {d.get(key)!r}, not an RFC 3339 time")


def lengths(d: dict[str, Any], key: str) -> list[int] | None:
    """A list of whole numbers, or None."""
    value = d.get(key)
    if value is not None and not (isinstance(value, list) and all(type(item) is int for item in value)):
        bad(f"{key} is {value!r}, not a list of lengths")
    return value


def words(d: dict[str, Any], key: str) -> list[str] | None:
    """A list of strings, or None."""
    value = d.get(key)
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        bad(f"{key} is {value!r}, not a list of strings")
    return value


def b64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def decoded(value: object, key: str) -> bytes:
    """The bytes of base64; `key` is for the message."""
    if not isinstance(value, str):
        bad(f"{key} is {value!r}, not base64")
    try:
        return a2b_base64(value, strict_mode=True)
    except (_Base64Error, ValueError):
        bad(f"{key} is not base64")


#: Certificates behind the leaf, by their base64: a few hundred are nearly all that a scan meets, and decoding one costs
#: eight times as much as finding it. Large ones are left out, so it has at most 32 MB; when full it begins anew.
_ISSUERS: Final[dict[str, bytes]] = {}
_MAX_ISSUERS: Final = 4_096
_MAX_ISSUER_CHARS: Final = 4_096


def issuer(value: object) -> bytes:
    """`decoded` of a certificate that is likely to have come before: the very same object then."""
    der = _ISSUERS.get(value) if isinstance(value, str) else None
    if der is None:
        der = decoded(value, "certificates")
        if isinstance(value, str) and len(value) <= _MAX_ISSUER_CHARS:
            if len(_ISSUERS) >= _MAX_ISSUERS:
                _ISSUERS.clear()
            _ISSUERS[value] = der
    return der


def count(d: dict[str, Any], key: str) -> int:
    """A whole number that is not negative; what is missing is 1."""
    value = d.get(key, 1)
    if type(value) is not int or value < 0:
        bad(f"{key} is {value!r}, not a count")
    return value


def word(known: dict[str, _E], kind: type[_E], value: object) -> _E:
    """The member of `kind` that is spelled like `value`; `known` has them all by their spelling."""
    found = known.get(value) if isinstance(value, str) else None
    if found is None:
        bad(f"{str(value)!r} is not a valid {kind.__name__}")
    return found
