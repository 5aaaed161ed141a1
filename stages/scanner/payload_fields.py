"""Output fields of the probes over UDP, by the names of ZMap's modules; what a payload says is read when it is asked.

`sport` is the port that answered; `probed_port` the one that was asked, and `other_port` says that they differ. Bytes
are hex.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from stages.proto import dns, ntp, ssdp
from stages.scanner.answers import ICMP, UDP, UDP_OTHER
from stages.scanner.fields import Field, Value
from stages.scanner.rows import Answer

_DATAGRAMS: Final = (UDP, UDP_OTHER)
_UDP_HEADER: Final = 8
#: Rows of an output ask for many fields of one payload, one after the other.
_REMEMBERED: Final = 4

_dns = lru_cache(_REMEMBERED)(dns.read)
_ntp = lru_cache(_REMEMBERED)(ntp.read)
_ssdp = lru_cache(_REMEMBERED)(ssdp.read)


def _of(get: Callable[[Answer], Value]) -> Callable[[Answer], Value]:
    """Only of datagrams."""
    return lambda a: get(a) if a.kind in _DATAGRAMS else None


def _sport(answer: Answer) -> int:
    return answer.sport if answer.kind in _DATAGRAMS else answer.port


def _named(name: str, other: str) -> Callable[[Answer], Value]:
    """`classification` of a module: its own name, `other`, or icmp."""
    names = {UDP: name, UDP_OTHER: other, ICMP: "icmp"}
    return lambda a: names[a.kind]


def _common(classification: Callable[[Answer], Value], help_text: str) -> tuple[Field, ...]:
    return (
        Field("classification", "string", help_text, classification),
        Field("success", "bool", "the target answered as a service of this kind does", lambda a: a.success),
        Field("sport", "int", "port that the answer came from", _sport),
        Field("dport", "int", "our port", lambda a: a.dport),
        Field("probed_port", "int", "port that was probed", lambda a: a.port),
        Field("other_port", "bool", "the answer came from another port than the one probed",
              _of(lambda a: a.sport != a.port)),
    )  # fmt: skip


_SIZE: Final = Field(
    "udp_pkt_size", "int", "bytes of the datagram with its header", _of(lambda a: a.size + _UDP_HEADER)
)
_TRUNCATED: Final = Field(
    "truncated", "bool", "not all of the payload was captured", _of(lambda a: a.data_size < a.size)
)


def _data(name: str) -> Field:
    return Field(name, "binary", "the payload, in hex", _of(lambda a: a.data.hex()))


def _from(read: Callable[[bytes], dict[str, Any]], name: str, kind: str, help_text: str) -> Field:
    return Field(name, kind, help_text, _of(lambda a: read(a.data).get(name)))


UDP_FIELDS: Final = (*_common(_named("udp", "other"), "udp, icmp or other"), _SIZE, _data("data"), _TRUNCATED)

NTP_FIELDS: Final = (
    *_common(_named("ntp", "other"), "ntp, icmp or other"),
    *(
        _from(_ntp, name, "int", f"{help_text} (RFC 5905 section 7.3)")
        for name, help_text in zip(
            ntp.NAMES,
            ("leap indicator, version and mode", "stratum", "log2 of the poll interval", "log2 of the precision",
             "root delay", "root dispersion", "reference id", "reference timestamp", "originate timestamp",
             "receive timestamp", "transmit timestamp"),
            strict=True,
        )
    ),
    _SIZE, _data("data"), _TRUNCATED,
)  # fmt: skip

UPNP_FIELDS: Final = (
    *_common(_named("upnp", "no-http-header"), "upnp, no-http-header or icmp"),
    *(_from(_ssdp, name, "string", f"header {header}") for header, name in ssdp.HEADERS.items()),
    _SIZE, _data("data"), _TRUNCATED,
)  # fmt: skip


def _app_success(answer: Answer) -> bool:
    said = _dns(answer.data) if answer.kind == UDP else {}
    return said.get("dns_qr") == 1 and said.get("dns_rcode") == 0


DNS_FIELDS: Final = (
    *_common(_named("dns", "dns"), "dns or icmp"),
    Field("app_success", "bool", "an answer without an error code", _app_success),
    Field("udp_len", "int", "bytes of the datagram with its header", _of(lambda a: a.size + _UDP_HEADER)),
    *(
        _from(_dns, name, "int", help_text)
        for name, help_text in (
            ("dns_id", "transaction id"), ("dns_rd", "recursion desired"), ("dns_tc", "truncated"),
            ("dns_aa", "authoritative answer"), ("dns_opcode", "kind of query"), ("dns_qr", "0 query, 1 response"),
            ("dns_rcode", "response code"), ("dns_cd", "checking disabled"), ("dns_ad", "authenticated data"),
            ("dns_z", "reserved bit"), ("dns_ra", "recursion available"), ("dns_qdcount", "questions"),
            ("dns_ancount", "answers"), ("dns_nscount", "authority records"), ("dns_arcount", "additional records"),
        )
    ),
    *(
        _from(_dns, name, "repeated", f"{help_text}: a list of objects")
        for name, help_text in (
            ("dns_questions", "the question section"), ("dns_answers", "the answer section"),
            ("dns_authorities", "the authority section"), ("dns_additionals", "the additional section"),
        )
    ),
    _from(_dns, "dns_parse_err", "int", "1: the message is malformed"),
    _from(_dns, "dns_unconsumed_bytes", "int", "bytes that no record accounts for"),
    _data("raw_data"), _TRUNCATED,
)  # fmt: skip
