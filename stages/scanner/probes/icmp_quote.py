"""ICMP errors that quote a probe (RFC 792; RFC 1812 4.3.2): what all probe modules share of reading them.

A router or host that refuses a packet sends its IP header back and at least the eight bytes behind it. For TCP these
are the ports and the sequence number, for ICMP echo identifier and sequence number: enough to validate the quoted
probe as strictly as an answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.net import headers
from stages.net.checksum import finish, sum_bytes
from stages.net.jit import piece

_QUOTE = headers.QUOTE_BYTES
_IPV4 = headers.IPV4_BYTES
_ICMP = headers.ICMP_BYTES
_UNREACHABLE, _QUENCH, _REDIRECT, _EXCEEDED, _PARAMETER = headers.ICMP_ERRORS
_OFFSET_HIGH = headers.FRAGMENT_OFFSET >> 8


@piece
def quoted(data: Any, icmp: Any, end: Any, here: Any, finished: Any) -> Any:
    """(offset of the quoted IPv4 header, offset of the 8 bytes behind it) of an ICMP error; (-1, -1) otherwise.

    `icmp` to `end` is the ICMP message in a u8 array; its checksum is verified if it is `here` whole and `finished`.
    """
    ip = icmp + _ICMP
    if ip + _IPV4 + _QUOTE > end:
        return -1, -1
    kind = data[icmp]
    if kind != _UNREACHABLE and kind != _EXCEEDED and kind != _QUENCH and kind != _REDIRECT and kind != _PARAMETER:
        return -1, -1
    layer4 = ip + (np.int64(data[ip]) & 15) * 4
    if (data[ip] >> 4) != 4 or layer4 < ip + _IPV4 or layer4 + _QUOTE > end:
        return -1, -1
    if data[ip + 6] & _OFFSET_HIGH or data[ip + 7]:  # a later fragment quotes no ports
        return -1, -1
    if here and finished and finish(sum_bytes(data, icmp, end)):
        return -1, -1
    return ip, layer4
