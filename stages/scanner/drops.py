"""What the kernel had no room for: when it is worth a warning, and what helps. Pure."""

from __future__ import annotations

from typing import Final

#: Receive threads beyond this only wait for each other.
MAX_RECEIVE_THREADS: Final = 16

#: So much of what arrived may be lost before it is said; and so many packets, for a share of a few says nothing.
WARN_SHARE: Final = 0.01
WARN_PACKETS: Final = 100


def advice(received: int, drops: int, threads: int) -> str | None:
    """What to say about `drops` packets that the kernel had no room for, beside `received` that were read, or None."""
    arrived = received + drops
    if drops < WARN_PACKETS or drops < WARN_SHARE * arrived:
        return None
    more = "more --receive-threads" if threads < MAX_RECEIVE_THREADS else "a faster machine"
    return (
        f"{drops} of {arrived} answers ({drops / arrived:.1%}) were dropped by this host before they were read, so open"
        f" targets are missing: a lower --rate, {more}, or fewer other programs help"
    )
