"""Items as files of masscan's may hold them."""

from __future__ import annotations

from hypothesis import strategies as st

from stages.scanner.masscan.items import Banner, Item, Status
from stages.scanner.masscan.services import SERVICES

TIMES = st.integers(0, 2**32 - 1)
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
PROTOCOLS = st.sampled_from(("tcp", "udp", "icmp", "sctp"))
PORTS = st.integers(0, 0xFFFF)
TTLS = st.integers(0, 255)
SERVICE_NAMES = st.sampled_from((*dict.fromkeys(SERVICES.values()), "(99)", "(65535)"))

STATUSES = st.builds(
    Status, TIMES, ADDRESSES, PROTOCOLS, PORTS, st.sampled_from(("open", "closed")), st.integers(0, 255), TTLS
)
BANNERS = st.builds(Banner, TIMES, ADDRESSES, PROTOCOLS, PORTS, SERVICE_NAMES, st.binary(max_size=300), TTLS)
ITEMS: st.SearchStrategy[list[Item]] = st.lists(st.one_of(STATUSES, BANNERS), max_size=12)
