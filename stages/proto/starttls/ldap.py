"""LDAP: the extended operation StartTLS (RFC 4511 sections 4.12 and 4.14)."""

from __future__ import annotations

from typing import Final

from stages.proto.starttls.prelude import MAX_PRELUDE_BYTES, StarttlsError

_OID: Final = b"1.3.6.1.4.1.1466.20037"
_REQUEST_NAME: Final = b"\x80%c" % len(_OID) + _OID
_EXTENDED: Final = b"\x77%c" % len(_REQUEST_NAME) + _REQUEST_NAME

#: LDAPMessage 1 with an ExtendedRequest.
REQUEST: Final = b"\x30%c" % (3 + len(_EXTENDED)) + b"\2\1\1" + _EXTENDED

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_ENUMERATED: Final = 0x0A
_EXTENDED_RESPONSE: Final = 0x78


def _element(data: bytes, at: int) -> tuple[int, int, int] | None:
    """(tag, start, end) of the BER element at an offset; None: more bytes are needed for its header.

    Raises StarttlsError for an indefinite length, or one beyond the bound.
    """
    if len(data) < at + 2:
        return None
    tag, size = data[at], data[at + 1]
    start = at + 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4:
            raise StarttlsError("no LDAP answer", data)
        if len(data) < start + count:
            return None
        size = int.from_bytes(data[start : start + count], "big")
        start += count
    if size > MAX_PRELUDE_BYTES:
        raise StarttlsError("no LDAP answer", data)
    return tag, start, start + size


class LdapPrelude:
    """One message there, one back."""

    __slots__ = ("_data", "ready")

    def __init__(self) -> None:
        self._data = b""
        self.ready = False

    def opening(self) -> bytes:
        return REQUEST

    def receive(self, data: bytes) -> bytes:
        held = self._data = self._data + data
        if held[0] != _SEQUENCE:
            raise StarttlsError("no LDAP answer", held)
        whole = _element(held, 0)
        if whole is None or len(held) < whole[2]:
            return b""
        self._data = held[whole[2] :]
        code = _result(held[: whole[2]], whole[1])
        if code is None:
            raise StarttlsError("no LDAP answer", held)
        if code != 0:
            raise StarttlsError(f"StartTLS was refused with result code {code}", held)
        self.ready = True
        return b""

    @property
    def rest(self) -> bytes:
        return self._data


def _result(data: bytes, at: int) -> int | None:
    """The result code of an ExtendedResponse whose message begins at an offset; None: it is none."""
    number = _element(data, at)
    if number is None or number[0] != _INTEGER:
        return None
    response = _element(data, number[2])
    if response is None or response[0] != _EXTENDED_RESPONSE:
        return None
    code = _element(data, response[1])
    if code is None or code[0] != _ENUMERATED or code[2] - code[1] != 1 or code[2] > len(data):
        return None
    return data[code[1]]


def begin(name: bytes | None) -> LdapPrelude:
    """The prelude of one connection."""
    return LdapPrelude()
