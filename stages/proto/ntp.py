"""NTP packets (RFC 5905 section 7.3): what an answer says, by the names of ZMap's ntp module. Pure."""

from __future__ import annotations

import struct
from typing import Final

PACKET_BYTES: Final = 48
#: Mode 4, server, in the lowest three bits of the first byte.
MODE_MASK: Final = 7
MODE_SERVER: Final = 4

NAMES: Final = (
    "LI_VN_MODE", "stratum", "poll", "precision", "root_delay", "root_dispersion", "reference_clock_identifier",
    "reference_timestamp", "originate_timestamp", "receive_timestamp", "transmit_timestamp",
)  # fmt: skip
#: `poll` and `precision` are signed powers of two.
_PACKET: Final = struct.Struct("!BBbb3I4Q")


def read(data: bytes) -> dict[str, int]:
    """The fields of a packet as integers, in network order; nothing of one that is too short."""
    if len(data) < PACKET_BYTES:
        return {}
    return dict(zip(NAMES, _PACKET.unpack_from(data), strict=True))
