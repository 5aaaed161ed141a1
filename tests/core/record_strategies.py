"""Records of every kind, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from stages.core.outcome import Outcome, Phase, Via
from stages.core.records import Banner, Hit, Scan, Tls

#: JSON holds no lone surrogates.
texts = st.text(st.characters(codec="utf-8"), max_size=12)
times = st.integers(0, 253_402_300_799_999_999)
counts = st.integers(0, 2**53)
seconds = st.floats(0, 1e6, allow_nan=False)
objects = st.dictionaries(texts, st.none() | st.booleans() | counts | texts, max_size=3)


def maybe(strategy):
    return st.none() | strategy


_target = {
    "scan": texts,
    "ts": times,
    "ip": st.ip_addresses().map(str),
    "port": st.integers(0, 65535),
    "vantage": texts,
    "transport": st.sampled_from(["tcp", "udp", "icmp"]),
    "name": maybe(texts),
}

_ending = {
    "outcome": st.sampled_from(Outcome),
    "phase": st.sampled_from(Phase),
    "via": st.sampled_from(Via),
    "hit": maybe(texts),
    "errno": maybe(texts),
    "icmp": maybe(objects),
    "connect": maybe(seconds),
    "first_byte": maybe(seconds),
    "ended": maybe(seconds),
    "control": maybe(st.booleans()),
}

hits = st.builds(
    Hit,
    **_target,
    probe=texts,
    classification=texts,
    success=st.booleans(),
    repeat=st.booleans(),
    cooldown=st.booleans(),
    ttl=maybe(counts),
    rtt=maybe(seconds),
    source=maybe(objects),
    tcp=maybe(objects),
    icmp=maybe(objects),
    udp=maybe(objects),
)

banners = st.builds(
    Banner,
    **_target,
    **_ending,
    probe=texts,
    sent=counts,
    truncated=st.booleans(),
    data=st.binary(max_size=40),
    datagrams=maybe(st.lists(counts, max_size=3)),
    service=maybe(texts),
    facts=maybe(objects),
)

tls = st.builds(
    Tls,
    **_target,
    **_ending,
    mode=texts,
    alert=maybe(texts),
    error=maybe(texts),
    version=maybe(texts),
    cipher_suite=maybe(texts),
    alpn=maybe(texts),
    sni=maybe(texts),
    chain=st.lists(texts, max_size=2),
    certificates=st.lists(st.binary(max_size=20), max_size=2),
    server_hello=maybe(objects),
    hello=maybe(texts),
    connections=counts,
    starttls=maybe(texts),
    ocsp=maybe(st.binary(max_size=40)),
    scts=maybe(st.binary(max_size=40)),
)

scans = st.builds(
    Scan,
    scan=texts,
    ts=times,
    event=st.sampled_from(["start", "progress", "end", "assessed"]),
    vantage=texts,
    spec=maybe(objects),
    counters=maybe(objects),
    position=maybe(counts),
)

records = hits | banners | tls | scans

#: What a bad producer puts into a field.
junk = st.sampled_from(
    [None, True, False, 0, 1, -1, 65536, 1.5, "", "x", "80", "AA==", "A", [], [1], ["x"], [True], {}, {"x": 1}]
)
