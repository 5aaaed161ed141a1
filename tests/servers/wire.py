"""scapy as an oracle that cannot reach the network.

scapy fills in a missing MAC by asking for it: building `Ether() / IP(dst=...)` broadcasts ARP requests. So tests build
frames on `ETHER`, which names both MACs, and importing this module closes scapy's sockets and its resolver: what would
send raises instead.
"""

from __future__ import annotations

from typing import Any, NoReturn

import scapy.layers.l2
from scapy.config import conf
from scapy.layers.l2 import Ether

OURS = "02:00:00:00:00:01"
THEIRS = "02:00:00:00:00:02"


def _refuse(*_args: Any, **_more: Any) -> NoReturn:
    raise AssertionError("scapy was about to send a packet: give both MACs")


conf.L2socket = conf.L2listen = conf.L3socket = conf.L3socket6 = _refuse
conf.neighbor.resolvers.clear()
conf.raise_no_dst_mac = True
scapy.layers.l2.getmacbyip = _refuse


def ether(**more: Any) -> Ether:
    """An Ethernet header from THEIRS to OURS."""
    return Ether(**{"src": THEIRS, "dst": OURS, **more})
