"""MySQL and MariaDB: the server's handshake packet, and our SSLRequest, after which TLS begins without an answer.

(MySQL Internals Manual, "Connection Phase Packets": Protocol::HandshakeV10, Protocol::SSLRequest.)
"""

from __future__ import annotations

from typing import Final

from stages.proto.starttls.prelude import MAX_PRELUDE_BYTES, StarttlsError

#: Capability flags: CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION.
_SSL: Final = 0x0800
_WANTED: Final = 0x0001 | 0x0200 | _SSL | 0x8000

#: max_packet_size 16 MiB, utf8_general_ci, 23 zeros.
SSL_REQUEST: Final = (
    b"\x20\0\0\1" + _WANTED.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little") + b"\x21" + bytes(23)
)

_PROTOCOL_10: Final = 10
_ERROR: Final = 0xFF


class MysqlPrelude:
    """One packet."""

    __slots__ = ("_data", "ready")

    def __init__(self) -> None:
        self._data = b""
        self.ready = False

    def opening(self) -> bytes:
        return b""

    def receive(self, data: bytes) -> bytes:
        held = self._data = self._data + data
        if len(held) < 5:
            return b""
        size = int.from_bytes(held[:3], "little")
        if size > MAX_PRELUDE_BYTES or held[3] != 0 or held[4] not in (_PROTOCOL_10, _ERROR):
            raise StarttlsError("no MySQL handshake", held)
        if len(held) < 4 + size:
            return b""
        packet, self._data = held[4 : 4 + size], held[4 + size :]
        if packet[0] == _ERROR:
            raise StarttlsError("the server lets nobody in", packet)
        # Version (NUL-terminated), thread id, 8 bytes of scramble, a filler, the lower capability flags.
        at = packet.find(b"\0", 1) + 1 + 4 + 8 + 1
        if at < 15 or len(packet) < at + 2:
            raise StarttlsError("no MySQL handshake", packet)
        if not int.from_bytes(packet[at : at + 2], "little") & _SSL:
            raise StarttlsError("TLS is not offered", packet)
        self.ready = True
        return SSL_REQUEST

    @property
    def rest(self) -> bytes:
        return self._data


def begin(name: bytes | None) -> MysqlPrelude:
    """The prelude of one connection."""
    return MysqlPrelude()
