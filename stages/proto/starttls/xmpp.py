"""XMPP (RFC 6120 sections 4.2 and 5): open a stream, read its features, ask for TLS.

Only the four things that matter are looked for, in the bytes as they are; an XML parser has no place before TLS.
"""

from __future__ import annotations

import re
from typing import Final

from stages.proto.starttls.prelude import MAX_PRELUDE_BYTES, StarttlsError

_TLS: Final = b"urn:ietf:params:xml:ns:xmpp-tls"
_STREAM: Final = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" version='1.0' to='%s'>"
)
_STARTTLS: Final = b"<starttls xmlns='%s'/>" % _TLS
_FEATURES_END: Final = re.compile(rb"</stream:features\s*>|<stream:features\s*/>")
_OVER: Final = re.compile(rb"<stream:error|</stream:stream")
_PROCEED: Final = re.compile(rb"<proceed\b[^>]*?(?:/>|>\s*</proceed\s*>)")

#: To whom the stream is opened where no name is asked for.
NOBODY: Final = b"localhost"


class XmppPrelude:
    """Features, then leave to proceed."""

    __slots__ = ("_asked", "_data", "_name", "ready")

    def __init__(self, name: bytes | None) -> None:
        self._name = name or NOBODY
        self._data = b""
        self._asked = False
        self.ready = False

    def opening(self) -> bytes:
        return _STREAM % self._name

    def receive(self, data: bytes) -> bytes:
        self._data += data
        if len(self._data) > MAX_PRELUDE_BYTES:
            raise StarttlsError(f"more than {MAX_PRELUDE_BYTES} bytes before TLS", self._data)
        if not self._asked:
            features = _FEATURES_END.search(self._data)
            if features is None:
                return self._unless_over()
            if _TLS not in self._data[: features.end()]:
                raise StarttlsError("TLS is not offered", self._data)
            self._data = self._data[features.end() :]
            self._asked = True
            return _STARTTLS
        proceed = _PROCEED.search(self._data)
        if proceed is None:
            if b"<failure" in self._data:
                raise StarttlsError("starttls was refused", self._data)
            return self._unless_over()
        self._data = self._data[proceed.end() :]
        self.ready = True
        return b""

    def _unless_over(self) -> bytes:
        if _OVER.search(self._data) or not self._data.lstrip().startswith(b"<"[: len(self._data.lstrip())]):
            raise StarttlsError("no XMPP stream", self._data)
        return b""

    @property
    def rest(self) -> bytes:
        return self._data


def begin(name: bytes | None) -> XmppPrelude:
    """The prelude of one connection."""
    return XmppPrelude(name)
