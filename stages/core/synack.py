"""Fingerprint of a SYN-ACK, out of what the hit keeps of it. Pure.

    64:64240:1460:7:st
    |  |     |    |  options that were there: s SACK permitted, t timestamps; - for none
    |  |     |    window scale (RFC 7323 section 2), empty where there was none
    |  |     maximum segment size, empty where there was none
    |  window
    the initial TTL: the least of 32, 64, 128 and 255 that the TTL seen may have come down from

A server answers with options that it was offered: compare only hits of one probe and of one set of TCP options. The
order of the options and their padding are not in the hit, hence not in here.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from typing import Any, Final

#: What stacks begin with (Windows 128, most others 64, routers 255, some old ones 32); paths are shorter than 32 hops.
INITIAL_TTLS: Final = (32, 64, 128, 255)


#: Different ones remembered: an Internet has some thousands, times the hops that they came over.
_REMEMBERED: Final = 16_384


def initial_ttl(ttl: int) -> int:
    """The class of a TTL between 0 and 255."""
    return INITIAL_TTLS[bisect_left(INITIAL_TTLS, ttl)]


def synack_of(tcp: dict[str, Any] | None, ttl: int | None) -> str | None:
    """Of a hit's `tcp` and `ttl`; None where the hit is no SYN-ACK that was seen as a packet."""
    if tcp is None or type(window := tcp.get("window")) is not int:
        return None
    mss, wscale = tcp.get("mss"), tcp.get("wscale")
    return synack_text(
        ttl,
        window,
        mss if type(mss) is int else None,
        wscale if type(wscale) is int else None,
        tcp.get("sack") is True,
        tcp.get("ts_val") is not None,
    )


@lru_cache(_REMEMBERED)
def synack_text(ttl: int | None, window: int, mss: int | None, wscale: int | None, sack: bool, stamps: bool) -> str:
    """The same of its parts, None where there was none."""
    parts = [
        str(initial_ttl(ttl)) if ttl is not None and 0 <= ttl <= INITIAL_TTLS[-1] else "",
        str(window),
        "" if mss is None else str(mss),
        "" if wscale is None else str(wscale),
        ("s" if sack else "") + ("t" if stamps else "") or "-",
    ]
    return ":".join(parts)
