"""upnp: an SSDP search for root devices, by unicast; the headers of the answer are fields.

Nothing in the protocol comes back that could bind an answer to its probe but the port.
"""

from __future__ import annotations

from typing import Final

from stages.proto import payloads, ssdp
from stages.proto.payloads import First
from stages.scanner.fields import own_names
from stages.scanner.probes import datagram
from stages.scanner.probes.base import ProbeModule
from stages.scanner.probes.datagram_plan import Payloads

NAME: Final = "upnp"
_PORT: Final = 1900
SENT: Final = Payloads((First(NAME, (), payloads.BY_PORT[_PORT].template, expect=ssdp.STATUS),), {})


def module(args: str) -> ProbeModule:
    """Takes no arguments. Raises ValueError for any."""
    if args:
        raise ValueError(f"{NAME} takes no arguments, not {args!r}")
    return datagram.build(NAME, args, own_names(NAME), SENT)
