"""The prefix that an address is summed under: its /24, or its /48 of IPv6, unless told otherwise. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

#: Before the four bytes of an IPv4 address (RFC 4291 2.5.5.2).
_MAPPED: Final = bytes(10) + b"\xff\xff"

#: Bits, as the pipeline orders and owns targets.
V4_LENGTH: Final = 24
V6_LENGTH: Final = 48


@dataclass(frozen=True, slots=True)
class Prefixes:
    """How long they are."""

    v4: int = V4_LENGTH
    v6: int = V6_LENGTH

    def of(self, address: bytes) -> str:
        """Of an address, 16 bytes: `192.0.2.0/24`."""
        version, number = number_of(address)
        if version == 4:
            return f"{IPv4Address(number >> 32 - self.v4 << 32 - self.v4)}/{self.v4}"
        return f"{IPv6Address(number >> 128 - self.v6 << 128 - self.v6)}/{self.v6}"


def number_of(address: bytes) -> tuple[int, int]:
    """(IP version, number) of an address, 16 bytes."""
    if address.startswith(_MAPPED):
        return 4, int.from_bytes(address[12:], "big")
    return 6, int.from_bytes(address, "big")
