"""icmp_echoscan: one echo request; the reply, or an ICMP error, is the answer.

Identifier and sequence number are 32 bits of the tag of (source, target). A reply carries both back; an ICMP error
quotes them. `--probe-args` sets the payload: `text:...`, `hex:...` or `file:...`; by default 20 zero bytes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import bpf, headers, ring
from stages.net.checksum import finish, sum_bytes
from stages.net.headers import load16, load32
from stages.net.jit import kernel
from stages.net.wide import swap_bytes
from stages.scanner import answers, templates
from stages.scanner.fields import own_names
from stages.scanner.probes.base import ProbeModule
from stages.scanner.probes.icmp_quote import quoted
from stages.scanner.probes.payload_args import literal, split
from stages.scanner.validation import echo_id, echo_sequence, tag

NAME: Final = "icmp_echoscan"
FORMS: Final = "text:..., hex:... or file:..."
DEFAULT_PAYLOAD: Final = bytes(20)
#: 1500 bytes of Ethernet less the IP and ICMP headers.
MAX_PAYLOAD: Final = 1500 - headers.IPV4_BYTES - headers.ICMP_BYTES
#: A frame of 1500 bytes with a VLAN tag: a reply brings our payload back.
SNAP_BYTES: Final = headers.ETHERNET_BYTES + headers.VLAN_TAG_BYTES + 1500

_ICMP = headers.PROTOCOL_ICMP
_ICMP_BYTES = headers.ICMP_BYTES
_REPLY, _REQUEST = headers.ICMP_ECHO_REPLY, headers.ICMP_ECHO
_KIND_REPLY, _KIND_ICMP = answers.ECHOREPLY, answers.ICMP
_BOUND, _BITS = answers.BY_ECHO, 32
_ZERO, _ONE, _LOW16 = np.uint64(0), np.uint64(1), np.uint64(0xFFFF)
_S16, _S32, _S48 = np.uint64(16), np.uint64(32), np.uint64(48)


def payload_of(args: str) -> bytes:
    """The payload that `--probe-args` asks for. Raises ValueError (unknown form, bad hex, too long), OSError (file)."""
    if not args:
        return DEFAULT_PAYLOAD
    form, value = split(NAME, args, FORMS)
    payload = literal(form, value)
    if payload is None:
        raise ValueError(f"{NAME} takes {FORMS}, not {args!r}")
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(payload)} bytes; {MAX_PAYLOAD} fit")
    return payload


def module(args: str) -> ProbeModule:
    """See `payload_of` for `args` and what it raises."""
    return ProbeModule(
        name=NAME,
        args=args,
        uses_ports=False,
        fields=own_names(NAME),
        template=templates.get(NAME, payload_of(args).hex()),
        pseudo_sum=0,
        stamp_at=None,
        fill=fill,
        classify=classify,
        filter=packet_filter,
        data=True,
    )


def packet_filter(_source_ports: tuple[int, int]) -> bytes:
    """ICMP echo replies and ICMP errors."""
    return bpf.assemble([
        bpf.Op(bpf.LD_H, 12),
        bpf.Op(bpf.JEQ, headers.ETHERTYPE_IPV4, None, "drop"),
        bpf.Op(bpf.LD_H, 20),
        bpf.Op(bpf.JSET, headers.FRAGMENT_OFFSET, "drop"),
        bpf.Op(bpf.LD_B, 23),
        bpf.Op(bpf.JEQ, headers.PROTOCOL_ICMP, None, "drop"),
        bpf.Op(bpf.LDX_IP, headers.ETHERNET_BYTES),
        bpf.Op(bpf.LD_B_X, headers.ETHERNET_BYTES),
        *(bpf.Op(bpf.JEQ, kind, "keep") for kind in (headers.ICMP_ECHO_REPLY, *headers.ICMP_ERRORS)),
        "drop",
        bpf.Op(bpf.RET, 0),
        "keep",
        bpf.Op(bpf.RET, SNAP_BYTES),
    ])  # fmt: skip


@kernel
def fill(words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any) -> None:
    """See `stages.scanner.probes.base`."""
    k0, k1, sources = constants.k0, constants.k1, constants.sources
    probes = np.int64(constants.probes)
    several = np.uint64(sources.size)
    t2, t4, t5 = constants.words[0], constants.words[2], constants.words[3]
    ip_sum, l4_sum = constants.ip_sum, constants.l4_sum
    count = address.size
    for j in range(probes):
        attempt = constants.first_attempt + np.uint64(j)
        for i in range(count):
            row = i * probes + j
            which = (address[i] + attempt) % several if several > _ONE else _ZERO
            source[row] = sources[np.int64(which)]
        for i in range(count):
            row = i * probes + j
            tags[row] = tag(k0, k1, source[row], address[i], _ZERO)
        for i in range(count):
            row = i * probes + j
            value, target, ours = tags[row], address[i], source[row]
            ident, seq, ip_id = echo_id(value), echo_sequence(value, attempt), value >> _S48
            addresses = (target >> _S16) + (target & _LOW16) + (ours >> _S16) + (ours & _LOW16)
            ip_check = finish(ip_sum + addresses + ip_id)
            check = finish(l4_sum + ident + seq)
            words[row, 2] = swap_bytes(t2 | (ip_id << _S32))
            words[row, 3] = swap_bytes((ip_check << _S48) | (ours << _S16) | (target >> _S16))
            words[row, 4] = swap_bytes(t4 | ((target & _LOW16) << _S48) | (check << _S16) | ident)
            words[row, 5] = swap_bytes(t5 | (seq << _S48))


@kernel
def classify(data: Any, table: Any, count: Any, constants: Any, out: Any) -> Any:
    """See `stages.scanner.probes.base`."""
    k0, k1, attempts = constants.k0, constants.k1, constants.attempts
    found = 0
    for i in range(count):
        ip, captured, finished = table[i, ring.IP], table[i, ring.END], table[i, ring.FINISHED]
        layer4, end, here = ring.ipv4(data, ip, captured)
        if layer4 < 0 or data[ip + 9] != _ICMP or layer4 + _ICMP_BYTES > end:
            continue
        saddr, daddr = load32(data, ip + 12), load32(data, ip + 16)
        if data[layer4] == _REPLY:
            if here and finished and finish(sum_bytes(data, layer4, end)):
                continue
            target, echo, kind = saddr, layer4, _KIND_REPLY
        else:
            inner, echo = quoted(data, layer4, end, here, finished)
            if inner < 0 or data[inner + 9] != _ICMP or data[echo] != _REQUEST or load32(data, inner + 12) != daddr:
                continue
            target, kind = load32(data, inner + 16), _KIND_ICMP
        value = tag(k0, k1, daddr, target, _ZERO)
        ident, seq = load16(data, echo + 4), load16(data, echo + 6)
        attempt = (seq - echo_sequence(value, _ZERO)) & _LOW16
        if ident != echo_id(value) or attempt >= attempts:
            continue
        row = out[found]
        row.address, row.port = target, 0
        row.sport = row.dport = row.window = 0
        row.seq, row.ack = seq, ident
        row.icmp_type, row.icmp_code = data[layer4], data[layer4 + 1]
        row.mss = row.sack = row.has_ts = row.ts_val = row.ts_ecr = 0
        row.wscale = -1
        row.kind, row.attempt = kind, attempt
        row.bound, row.bits = _BOUND, _BITS
        row.size = row.data_size = row.data_at = 0
        if kind == _KIND_REPLY:
            start = layer4 + _ICMP_BYTES
            row.size = max(ip + np.int64(load16(data, ip + 2)) - start, 0)
            row.data_at, row.data_size = start, end - start
        row.ts = table[i, ring.TIME]
        row.saddr, row.daddr, row.responder = saddr, daddr, saddr
        row.ttl, row.ipid = data[ip + 8], load16(data, ip + 4)
        found += 1
    return found
