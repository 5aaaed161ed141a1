"""What all UDP probe modules share: a probe module from payloads, and the kernel filter."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import bpf, headers
from stages.scanner import templates
from stages.scanner.probes.base import Kernel, ProbeModule
from stages.scanner.probes.datagram_fill import fill_constant, fill_plans
from stages.scanner.probes.datagram_plan import PAYLOAD_AT, Payloads
from stages.scanner.probes.datagram_read import read_datagrams

#: A frame of 1500 bytes with a VLAN tag: a longer answer (a jumbo frame, a merged one) is truncated, and says so.
SNAP_BYTES: Final = headers.ETHERNET_BYTES + headers.VLAN_TAG_BYTES + 1500

_UDP = headers.PROTOCOL_UDP


def build(name: str, args: str, fields: tuple[str, ...], payloads: Payloads) -> ProbeModule:
    """The module that sends `payloads`. Raises TemplateError."""
    plans = payloads.plans()
    constant = payloads.constant
    fill: Kernel

    def classify(data: Any, table: Any, count: Any, constants: Any, out: Any) -> Any:
        return read_datagrams(data, table, count, constants, out, plans)

    if constant is not None:
        template = templates.get("udp", constant.hex())
        size = len(template) - PAYLOAD_AT + headers.UDP_BYTES
        return ProbeModule(
            name=name, args=args, uses_ports=True, fields=fields, template=template, pseudo_sum=_UDP + size,
            stamp_at=None, fill=fill_constant, classify=classify, filter=packet_filter, data=True,
        )  # fmt: skip

    if payloads.one_length:

        def fill_alike(words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any) -> None:
            fill_plans(words, address, port, constants, source, tags, np.empty(len(words), np.int64), plans)

        fill, kept = fill_alike, payloads.max_length
    else:

        def fill_each(
            words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any, lengths: Any
        ) -> None:
            fill_plans(words, address, port, constants, source, tags, lengths, plans)

        fill, kept = fill_each, 0
    return ProbeModule(
        name=name, args=args, uses_ports=True, fields=fields,
        template=_without_lengths(templates.get("udp", bytes(kept).hex())), pseudo_sum=_UDP, stamp_at=None, fill=fill,
        classify=classify, filter=packet_filter, max_length=PAYLOAD_AT + payloads.max_length,
        lengths=not payloads.one_length, data=True,
    )  # fmt: skip


def packet_filter(source_ports: tuple[int, int]) -> bytes:
    """UDP to one of our ports; ICMP errors. IPv4 in Ethernet: the kernel took the VLAN tag."""
    first, last = source_ports
    return bpf.assemble([
        bpf.Op(bpf.LD_H, 12),
        bpf.Op(bpf.JEQ, headers.ETHERTYPE_IPV4, None, "drop"),
        bpf.Op(bpf.LD_H, 20),
        bpf.Op(bpf.JSET, headers.FRAGMENT_OFFSET, "drop"),
        bpf.Op(bpf.LDX_IP, headers.ETHERNET_BYTES),
        bpf.Op(bpf.LD_B, 23),
        bpf.Op(bpf.JEQ, headers.PROTOCOL_ICMP, "icmp"),
        bpf.Op(bpf.JEQ, headers.PROTOCOL_UDP, None, "drop"),
        bpf.Op(bpf.LD_H_X, headers.ETHERNET_BYTES + 2),
        bpf.Op(bpf.JGE, first, None, "drop"),
        bpf.Op(bpf.JGT, last, "drop", "keep"),
        "icmp",
        bpf.Op(bpf.LD_B_X, headers.ETHERNET_BYTES),
        *(bpf.Op(bpf.JEQ, kind, "keep") for kind in headers.ICMP_ERRORS),
        "drop",
        bpf.Op(bpf.RET, 0),
        "keep",
        bpf.Op(bpf.RET, SNAP_BYTES),
    ])  # fmt: skip


def _without_lengths(frame: bytes) -> bytes:
    """The template with zeros for both lengths: the kernel writes them."""
    cleared = bytearray(frame)
    for at in (headers.ETHERNET_BYTES + 2, PAYLOAD_AT - 4):
        cleared[at : at + 2] = bytes(2)
    return bytes(cleared)
