"""The ClientHello of a rule, out of its table. Pure.

    [rule.hello]
    versions = ["tls1.0", "tls1.2"]          offered; the highest of them stands in the hello
    suites = ["TLS_DHE_RSA_WITH_AES_256_CBC_SHA", "0x0033"]
    extensions = ["server_name", "23", "65000:0a0b"]   in order; with data in hex as it stands
    groups = ["x25519"]    signatures = ["0x0403"]    alpn = ["h2"]

Suites are sent in their order, and nothing beside them. Without `extensions` they are the usual ones of the versions;
what they need (groups, signatures, key shares) is the usual too where it is not given. A hello is called by what is in
it, so that a stored answer is never taken for the answer to another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from stages.proto.rules.codes import extension_code, group_code, number, suite_code, version_code
from stages.proto.tls import codes
from stages.proto.tls.codes import SSL3, TLS10, TLS13
from stages.proto.tls.groups import BASE_POINTS
from stages.proto.tls.hello import RANDOM, HelloSpec, Template
from stages.proto.tls.offers import GROUPS, MODERN, SIGNATURES, WIDE

#: The names of such hellos begin so; the program's own do not.
PREFIX: Final = "rule-"
_DIGITS: Final = 8

#: Items of one list.
MAX_ITEMS: Final = 512
#: Bytes of a hello: it has to fit into one record.
MAX_HELLO: Final = 2**14
#: Bytes of a protocol name (RFC 7301 section 3.1).
MAX_PROTOCOL: Final = 255

_WITH_DATA: Final = re.compile(r"([^:]+):((?:[0-9a-fA-F]{2})*)")

KEYS: Final = ("versions", "suites", "extensions", "groups", "signatures", "alpn")


class HelloError(ValueError):
    """What is wrong with `key`; `item` is the place in its list, if one is to blame."""

    def __init__(self, key: str, item: int | None, value: object, problem: str) -> None:
        super().__init__(f"{key}: {value!r}: {problem}")
        self.key = key
        self.item = item
        self.value = value
        self.problem = problem


def hello_of(table: Mapping[str, Any]) -> HelloSpec:
    """Raises HelloError."""
    for key in table:
        if key not in KEYS:
            raise HelloError(key, None, table[key], f"no such key in a hello: {', '.join(KEYS)}")
    versions = _list(table, "versions", version_code)
    suites = _list(table, "suites", suite_code)
    for key, items in (("versions", versions), ("suites", suites)):
        if not items:
            raise HelloError(key, None, table.get(key), "a hello needs at least one")
    versions = tuple(sorted(set(versions), reverse=True))
    usual = MODERN if TLS13 in versions else WIDE
    groups = _list(table, "groups", group_code) if "groups" in table else GROUPS
    signatures = _list(table, "signatures", _signature) if "signatures" in table else SIGNATURES
    if "extensions" in table:
        extensions = _list(table, "extensions", _extension)
    elif versions == (SSL3,):
        extensions = ()
    else:
        extensions = usual.extensions
        if versions[0] <= TLS10:
            extensions = tuple(kind for kind in extensions if kind != codes.SIGNATURE_ALGORITHMS)
    spec = HelloSpec(
        name="",
        versions=versions,
        suites=suites,
        extensions=extensions,
        groups=groups,
        shares=_shares(versions, groups),
        signatures=signatures,
        alpn=_list(table, "alpn", _protocol),
        certificate_compression=MODERN.certificate_compression,
        session_id=TLS13 in versions,
        record_version=min(versions[0], TLS10),
    )
    return replace(spec, name=_name(spec, table))


def _name(spec: HelloSpec, table: Mapping[str, Any]) -> str:
    """Of its bytes. Raises HelloError: it cannot be written."""
    shares = {group: BASE_POINTS[group] for group in spec.shares}
    try:
        written = Template(spec, shares).render(None, bytes(RANDOM), b"")
    except ValueError as error:
        raise HelloError("extensions", None, table.get("extensions"), str(error)) from None
    except OverflowError:
        written = bytes(MAX_HELLO + 1)
    if len(written) > MAX_HELLO:
        raise HelloError("extensions", None, None, f"a hello of more than {MAX_HELLO} bytes")
    return PREFIX + sha256(written + repr(spec.versions).encode()).hexdigest()[:_DIGITS]


def _shares(versions: Sequence[int], groups: Sequence[int]) -> tuple[int, ...]:
    """The first group in which we can make a key share."""
    if TLS13 not in versions:
        return ()
    return tuple(group for group in groups if group in BASE_POINTS)[:1]


def _list(table: Mapping[str, Any], key: str, read: Callable[[str], Any]) -> tuple[Any, ...]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise HelloError(key, None, value, "not a list")
    if len(value) > MAX_ITEMS:
        raise HelloError(key, None, f"{len(value)} items", f"at most {MAX_ITEMS}")
    out: list[Any] = []
    for place, item in enumerate(value):
        if type(item) is int:
            item = str(item)
        if not isinstance(item, str):
            raise HelloError(key, place, item, "not a name or a number")
        try:
            out.append(read(item))
        except ValueError as error:
            raise HelloError(key, place, item, str(error)) from None
    return tuple(out)


def _signature(text: str) -> int:
    return number(text, "signature algorithm")


def _extension(text: str) -> int | tuple[int, bytes]:
    found = _WITH_DATA.fullmatch(text)
    if found is None:
        return extension_code(text)
    return extension_code(found[1]), bytes.fromhex(found[2])


def _protocol(text: str) -> bytes:
    if not (text.isascii() and 0 < len(text) <= MAX_PROTOCOL):
        raise ValueError(f"a protocol has 1 to {MAX_PROTOCOL} ASCII characters")
    return text.encode("ascii")
