from __future__ import annotations

import pytest
from scapy.layers.ntp import NTPHeader

from stages.proto import ntp


def test_all_fields() -> None:
    packet = NTPHeader(leap=0, version=4, mode=4, stratum=2, poll=6, precision=-23, delay=0.5, dispersion=0.25)
    raw = bytes(packet)[:16] + bytes(range(32))
    said = ntp.read(raw)
    assert tuple(said) == ntp.NAMES
    assert (said["LI_VN_MODE"], said["stratum"], said["poll"], said["precision"]) == (0x24, 2, 6, -23)
    assert (said["root_delay"], said["root_dispersion"]) == (0x8000, 0x4000)
    assert said["originate_timestamp"] == int.from_bytes(bytes(range(8, 16)), "big")
    assert ntp.read(raw + b"extension") == said


@pytest.mark.parametrize("size", [0, 1, 47])
def test_a_short_packet_says_nothing(size: int) -> None:
    assert ntp.read(bytes(size)) == {}
