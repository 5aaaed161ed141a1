"""ntp: a client's request of NTP version 4; the answer is read into fields.

The transmit timestamp is random, and comes back as the originate timestamp (RFC 5905 section 8): 64 bits that bind an
answer to its probe.
"""

from __future__ import annotations

from typing import Final

from stages.proto import payloads
from stages.scanner.fields import own_names
from stages.scanner.probes import datagram
from stages.scanner.probes.base import ProbeModule
from stages.scanner.probes.datagram_plan import Payloads

NAME: Final = "ntp"
_PORT: Final = 123
SENT: Final = Payloads((payloads.BY_PORT[_PORT],), {})


def module(args: str) -> ProbeModule:
    """Takes no arguments. Raises ValueError for any."""
    if args:
        raise ValueError(f"{NAME} takes no arguments, not {args!r}")
    return datagram.build(NAME, args, own_names(NAME), SENT)
