"""tcp_synscan: one SYN; a SYN-ACK is a success, a RST or an ICMP error is an answer too.

The tag of (source, target, port) is the sequence number and the source port. A SYN-ACK must acknowledge it plus one; a
RST may carry it plus one (RFC 9293 3.10.7.1) or, from some stacks and middleboxes, the number itself; both must come to
the port that was used. Sets of TCP options follow what systems send (`--probe-args`): with none of them some networks
do not answer.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import bpf, headers, ring
from stages.net.checksum import finish, sum_bytes
from stages.net.headers import load16, load32
from stages.net.jit import kernel, piece
from stages.net.wide import swap_bytes
from stages.scanner import answers, templates
from stages.scanner.fields import own_names
from stages.scanner.probes.base import ProbeModule
from stages.scanner.probes.icmp_quote import quoted
from stages.scanner.validation import attempt_of, port_offset, sequence, source_port, tag, whole_bits

NAME: Final = "tcp_synscan"
DEFAULT_OPTIONS: Final = "windows"
#: Option set -> offset of the timestamp value within the TCP options (None: no timestamps).
OPTION_SETS: Final[dict[str, int | None]] = {"smallest-probes": None, "bsd": 12, "windows": None, "linux": 8}
_STAMP_BASE: Final = headers.ETHERNET_BYTES + headers.IPV4_BYTES + headers.TCP_BYTES

#: Enough of a packet for every header, with options, of an answer or an ICMP error's quote (14 + 8 + 60 + 8 + 60 + 8).
SNAP_BYTES: Final = 192

_SYNACK_FLAGS = headers.TCP_SYN | headers.TCP_ACK
_RST, _SYN_RST_ACK = headers.TCP_RST, headers.TCP_SYN | headers.TCP_RST | headers.TCP_ACK
_TCP, _ICMP = headers.PROTOCOL_TCP, headers.PROTOCOL_ICMP
_TCP_BYTES = headers.TCP_BYTES
_END, _NOP, _MSS = headers.OPTION_END, headers.OPTION_NOP, headers.OPTION_MSS
_WSCALE, _SACK, _STAMPS = headers.OPTION_WSCALE, headers.OPTION_SACK_PERMITTED, headers.OPTION_TIMESTAMPS
_KIND_SYNACK, _KIND_RST, _KIND_ICMP = answers.SYNACK, answers.RST, answers.ICMP
_BOUND = answers.BY_PORT | answers.BY_NUMBER
#: One less than the number has, for a RST may carry one of two.
_NUMBER_BITS = np.uint64(31)
_ZERO, _ONE, _LOW16, _LOW32 = np.uint64(0), np.uint64(1), np.uint64(0xFFFF), np.uint64(0xFFFFFFFF)
_S16, _S32, _S48 = np.uint64(16), np.uint64(32), np.uint64(48)


def module(args: str) -> ProbeModule:
    """`args` names the option set, "" the default. Raises ValueError for any other."""
    chosen = args or DEFAULT_OPTIONS
    if chosen not in OPTION_SETS:
        raise ValueError(f"{NAME} has no option set {chosen!r}; there are {', '.join(OPTION_SETS)}")
    template = templates.get(NAME, chosen)
    stamp = OPTION_SETS[chosen]
    segment = len(template) - headers.ETHERNET_BYTES - headers.IPV4_BYTES
    return ProbeModule(
        name=NAME,
        args=args,
        uses_ports=True,
        fields=own_names(NAME),
        template=template,
        pseudo_sum=headers.PROTOCOL_TCP + segment,
        stamp_at=None if stamp is None else _STAMP_BASE + stamp,
        fill=fill,
        classify=classify,
        filter=packet_filter,
    )


def packet_filter(source_ports: tuple[int, int]) -> bytes:
    """TCP to one of our ports with RST, or SYN and ACK; ICMP errors. IPv4 in Ethernet: the kernel took the VLAN tag."""
    first, last = source_ports
    kinds = headers.ICMP_ERRORS
    return bpf.assemble([
        bpf.Op(bpf.LD_H, 12),
        bpf.Op(bpf.JEQ, headers.ETHERTYPE_IPV4, None, "drop"),
        bpf.Op(bpf.LD_H, 20),
        bpf.Op(bpf.JSET, headers.FRAGMENT_OFFSET, "drop"),
        bpf.Op(bpf.LDX_IP, headers.ETHERNET_BYTES),
        bpf.Op(bpf.LD_B, 23),
        bpf.Op(bpf.JEQ, headers.PROTOCOL_ICMP, "icmp"),
        bpf.Op(bpf.JEQ, headers.PROTOCOL_TCP, None, "drop"),
        bpf.Op(bpf.LD_H_X, headers.ETHERNET_BYTES + 2),
        bpf.Op(bpf.JGE, first, None, "drop"),
        bpf.Op(bpf.JGT, last, "drop"),
        bpf.Op(bpf.LD_B_X, headers.ETHERNET_BYTES + 13),
        bpf.Op(bpf.JSET, headers.TCP_RST, "keep"),
        bpf.Op(bpf.AND, headers.TCP_SYN | headers.TCP_ACK),
        bpf.Op(bpf.JEQ, headers.TCP_SYN | headers.TCP_ACK, "keep", "drop"),
        "icmp",
        bpf.Op(bpf.LD_B_X, headers.ETHERNET_BYTES),
        *(bpf.Op(bpf.JEQ, kind, "keep") for kind in kinds),
        "drop",
        bpf.Op(bpf.RET, 0),
        "keep",
        bpf.Op(bpf.RET, SNAP_BYTES),
    ])  # fmt: skip


@piece
def _write(
    words: Any, row: Any, value: Any, ours: Any, target: Any, sport: Any, dport: Any,
    t2: Any, t5: Any, t6: Any, ip_sum: Any, l4_sum: Any,
) -> None:  # fmt: skip
    """Words 2 to 6 of one frame: addresses, ports, sequence number, both checksums, and an IP id from the tag."""
    seq, ident = sequence(value), value >> _S48
    addresses = (target >> _S16) + (target & _LOW16) + (ours >> _S16) + (ours & _LOW16)
    ip_check = finish(ip_sum + addresses + ident)
    check = finish(l4_sum + addresses + sport + dport + (seq >> _S16) + (seq & _LOW16))
    words[row, 2] = swap_bytes(t2 | (ident << _S32))
    words[row, 3] = swap_bytes((ip_check << _S48) | (ours << _S16) | (target >> _S16))
    words[row, 4] = swap_bytes(((target & _LOW16) << _S48) | (sport << _S32) | (dport << _S16) | (seq >> _S16))
    words[row, 5] = swap_bytes(t5 | ((seq & _LOW16) << _S48))
    words[row, 6] = swap_bytes(t6 | (check << _S32))


@kernel
def fill(words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any) -> None:
    """See `stages.scanner.probes.base`."""
    k0, k1, sources = constants.k0, constants.k1, constants.sources
    first_port, port_count = constants.first_port, constants.port_count
    probes = np.int64(constants.probes)
    several = np.uint64(sources.size)
    t2, t5, t6 = constants.words[0], constants.words[3], constants.words[4]
    ip_sum, l4_sum = constants.ip_sum, constants.l4_sum
    count = address.size
    if probes == 1 and several == _ONE:  # written apart: with a stride of one and one source the loops vectorise
        ours, first_attempt = sources[0], constants.first_attempt
        for i in range(count):
            tags[i] = tag(k0, k1, ours, address[i], port[i])
        for i in range(count):
            sport = source_port(port_offset(tags[i], port_count), first_attempt, first_port, port_count)
            _write(words, i, tags[i], ours, address[i], sport, port[i], t2, t5, t6, ip_sum, l4_sum)
        return
    for j in range(probes):
        attempt = constants.first_attempt + np.uint64(j)
        for i in range(count):
            row = i * probes + j
            source[row] = sources[np.int64((address[i] + attempt) % several)]
            tags[row] = tag(k0, k1, source[row], address[i], port[i])
            sport = source_port(port_offset(tags[row], port_count), attempt, first_port, port_count)
            _write(words, row, tags[row], source[row], address[i], sport, port[i], t2, t5, t6, ip_sum, l4_sum)


@piece
def tcp_checksum(data: Any, ip: Any, tcp: Any, end: Any) -> Any:
    """0 if the segment's checksum is right. Pseudo-header: both addresses, protocol, length."""
    return finish(sum_bytes(data, ip + 12, ip + 20) + np.uint64(_TCP + end - tcp) + sum_bytes(data, tcp, end))


@piece
def tcp_options(data: Any, at: Any, end: Any, row: Any) -> None:
    """Read TCP options (RFC 9293 3.1, RFC 7323, RFC 2018) into an ANSWER; a malformed one ends the reading."""
    while at < end and data[at] != _END:
        if data[at] == _NOP:
            at += 1
            continue
        if at + 1 >= end:
            return
        size = np.int64(data[at + 1])
        if size < 2 or at + size > end:
            return
        if data[at] == _MSS and size == 4:
            row.mss = load16(data, at + 2)
        elif data[at] == _WSCALE and size == 3:
            row.wscale = min(np.int64(data[at + 2]), 127)
        elif data[at] == _SACK and size == 2:
            row.sack = 1
        elif data[at] == _STAMPS and size == 10:
            row.ts_val = load32(data, at + 2)
            row.ts_ecr = load32(data, at + 6)
            row.has_ts = 1
        at += size


@kernel
def classify(data: Any, table: Any, count: Any, constants: Any, out: Any) -> Any:
    """See `stages.scanner.probes.base`."""
    k0, k1 = constants.k0, constants.k1
    first_port, port_count, attempts = constants.first_port, constants.port_count, constants.attempts
    bits = _NUMBER_BITS + whole_bits(port_count)
    found = 0
    for i in range(count):
        ip, captured, finished = table[i, ring.IP], table[i, ring.END], table[i, ring.FINISHED]
        layer4, end, here = ring.ipv4(data, ip, captured)
        if layer4 < 0:
            continue
        protocol = data[ip + 9]
        saddr, daddr = load32(data, ip + 12), load32(data, ip + 16)
        row = out[found]
        if protocol == _TCP:
            if layer4 + _TCP_BYTES > end:
                continue
            sport, dport = load16(data, layer4), load16(data, layer4 + 2)
            value = tag(k0, k1, daddr, saddr, sport)
            attempt = attempt_of(port_offset(value, port_count), dport, first_port, port_count)
            if attempt >= attempts:
                continue
            seq, ack = load32(data, layer4 + 4), load32(data, layer4 + 8)
            flags = data[layer4 + 13]
            expected = (sequence(value) + _ONE) & _LOW32
            if flags & _RST:
                if ack != expected and ack != sequence(value):
                    continue
                kind = _KIND_RST
            elif flags & _SYN_RST_ACK == _SYNACK_FLAGS and ack == expected:
                kind = _KIND_SYNACK
            else:
                continue
            options = layer4 + np.int64(data[layer4 + 12] >> 4) * 4
            if options < layer4 + _TCP_BYTES or options > end:
                continue
            if here and finished and tcp_checksum(data, ip, layer4, end):
                continue
            row.address, row.port = saddr, sport
            row.sport, row.dport, row.seq, row.ack = sport, dport, seq, ack
            row.window = load16(data, layer4 + 14)
            row.icmp_type = row.icmp_code = 0
            row.mss = row.sack = row.has_ts = row.ts_val = row.ts_ecr = 0
            row.wscale = -1
            tcp_options(data, layer4 + _TCP_BYTES, options, row)
        elif protocol == _ICMP:
            inner, quote = quoted(data, layer4, end, here, finished)
            if inner < 0 or data[inner + 9] != _TCP or load32(data, inner + 12) != daddr:
                continue
            target, dport = load32(data, inner + 16), load16(data, quote + 2)
            value = tag(k0, k1, daddr, target, dport)
            attempt = attempt_of(port_offset(value, port_count), load16(data, quote), first_port, port_count)
            if attempt >= attempts or load32(data, quote + 4) != sequence(value):
                continue
            kind = _KIND_ICMP
            row.address, row.port = target, dport
            row.sport, row.dport, row.seq, row.ack = dport, load16(data, quote), 0, 0
            row.window = 0
            row.icmp_type, row.icmp_code = data[layer4], data[layer4 + 1]
            row.mss = row.sack = row.has_ts = row.ts_val = row.ts_ecr = 0
            row.wscale = -1
        else:
            continue
        row.kind, row.attempt = kind, attempt
        row.bound, row.bits = _BOUND, bits
        row.size = row.data_size = row.data_at = 0
        row.ts = table[i, ring.TIME]
        row.saddr, row.daddr, row.responder = saddr, daddr, saddr
        row.ttl, row.ipid = data[ip + 8], load16(data, ip + 4)
        found += 1
    return found
