"""tcp_synackscan: one SYN-ACK that nobody asked for; a RST says that a host is there, which is a success.

Whoever is there answers with a RST that has our acknowledgement number as its sequence number (RFC 9293 3.10.7.2); some
stacks add one, and some acknowledge our sequence number, as does the rare SYN-ACK. Packet filters without state let
the probe pass where a SYN is dropped. Both numbers are the tag.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net import headers, ring
from stages.net.checksum import finish
from stages.net.headers import load16, load32
from stages.net.jit import kernel
from stages.net.wide import swap_bytes
from stages.scanner import answers, templates
from stages.scanner.fields import own_names
from stages.scanner.probes.base import ProbeModule
from stages.scanner.probes.icmp_quote import quoted
from stages.scanner.probes.tcp_synscan import packet_filter, tcp_checksum, tcp_options
from stages.scanner.validation import attempt_of, port_offset, sequence, source_port, tag, whole_bits

NAME: Final = "tcp_synackscan"

_FLAGS = headers.TCP_SYN | headers.TCP_ACK
_RST, _ACK, _SYN_RST_ACK = headers.TCP_RST, headers.TCP_ACK, headers.TCP_SYN | headers.TCP_RST | headers.TCP_ACK
_TCP, _ICMP, _TCP_BYTES = headers.PROTOCOL_TCP, headers.PROTOCOL_ICMP, headers.TCP_BYTES
_KIND_SYNACK, _KIND_KNOCK, _KIND_ICMP = answers.SYNACK, answers.KNOCK, answers.ICMP
_BOUND = answers.BY_PORT | answers.BY_NUMBER
#: Less than the number has: three forms of a RST pass.
_NUMBER_BITS = np.uint64(30)
_ONE, _LOW16, _LOW32 = np.uint64(1), np.uint64(0xFFFF), np.uint64(0xFFFFFFFF)
_S16, _S32, _S48 = np.uint64(16), np.uint64(32), np.uint64(48)


def module(args: str) -> ProbeModule:
    """Takes no arguments. Raises ValueError for any."""
    if args:
        raise ValueError(f"{NAME} takes no arguments, not {args!r}")
    template = templates.get(NAME, "smallest-probes")
    return ProbeModule(
        name=NAME,
        args=args,
        uses_ports=True,
        fields=own_names(NAME),
        template=template,
        pseudo_sum=_TCP + len(template) - headers.ETHERNET_BYTES - headers.IPV4_BYTES,
        stamp_at=None,
        fill=fill,
        classify=classify,
        filter=packet_filter,
    )


@kernel
def fill(words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any) -> None:
    """See `stages.scanner.probes.base`."""
    k0, k1, sources = constants.k0, constants.k1, constants.sources
    first_port, port_count = constants.first_port, constants.port_count
    probes, several = np.int64(constants.probes), np.uint64(sources.size)
    t2, t5, t6 = constants.words[0], constants.words[3], constants.words[4]
    count = address.size
    for j in range(probes):
        attempt = constants.first_attempt + np.uint64(j)
        for i in range(count):
            row = i * probes + j
            source[row] = sources[np.int64((address[i] + attempt) % several)]
            tags[row] = tag(k0, k1, source[row], address[i], port[i])
        for i in range(count):
            row = i * probes + j
            value, target, ours, dport = tags[row], address[i], source[row], port[i]
            sport = source_port(port_offset(value, port_count), attempt, first_port, port_count)
            number, ident = sequence(value), value >> _S48
            addresses = (target >> _S16) + (target & _LOW16) + (ours >> _S16) + (ours & _LOW16)
            ip_check = finish(constants.ip_sum + addresses + ident)
            numbers = (number >> _S16) + (number & _LOW16)
            check = finish(constants.l4_sum + addresses + sport + dport + numbers + numbers)
            words[row, 2] = swap_bytes(t2 | (ident << _S32))
            words[row, 3] = swap_bytes((ip_check << _S48) | (ours << _S16) | (target >> _S16))
            words[row, 4] = swap_bytes(
                ((target & _LOW16) << _S48) | (sport << _S32) | (dport << _S16) | (number >> _S16)
            )
            words[row, 5] = swap_bytes(t5 | ((number & _LOW16) << _S48) | (number << _S16))
            words[row, 6] = swap_bytes(t6 | (check << _S32))


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
        row.seq = row.ack = row.window = 0
        row.icmp_type = row.icmp_code = 0
        row.mss = row.sack = row.has_ts = row.ts_val = row.ts_ecr = 0
        row.wscale = -1
        if protocol == _TCP:
            if layer4 + _TCP_BYTES > end:
                continue
            port, dport = load16(data, layer4), load16(data, layer4 + 2)
            value = tag(k0, k1, daddr, saddr, port)
            attempt = attempt_of(port_offset(value, port_count), dport, first_port, port_count)
            if attempt >= attempts:
                continue
            seq, ack, flags = load32(data, layer4 + 4), load32(data, layer4 + 8), data[layer4 + 13]
            number = sequence(value)
            after = (number + _ONE) & _LOW32
            if flags & _RST:
                if seq != number and seq != after and not (flags & _ACK and ack == after):
                    continue
                kind = _KIND_KNOCK
            elif flags & _SYN_RST_ACK == _FLAGS and ack == after:
                kind = _KIND_SYNACK
            else:
                continue
            options = layer4 + np.int64(data[layer4 + 12] >> 4) * 4
            if options < layer4 + _TCP_BYTES or options > end:
                continue
            if here and finished and tcp_checksum(data, ip, layer4, end):
                continue
            target = saddr
            row.seq, row.ack, row.window = seq, ack, load16(data, layer4 + 14)
            tcp_options(data, layer4 + _TCP_BYTES, options, row)
        elif protocol == _ICMP:
            inner, quote = quoted(data, layer4, end, here, finished)
            if inner < 0 or data[inner + 9] != _TCP or load32(data, inner + 12) != daddr:
                continue
            target, port, dport = load32(data, inner + 16), load16(data, quote + 2), load16(data, quote)
            value = tag(k0, k1, daddr, target, port)
            attempt = attempt_of(port_offset(value, port_count), dport, first_port, port_count)
            if attempt >= attempts or load32(data, quote + 4) != sequence(value):
                continue
            kind = _KIND_ICMP
            row.icmp_type, row.icmp_code = data[layer4], data[layer4 + 1]
        else:
            continue
        row.address, row.port, row.sport, row.dport = target, port, port, dport
        row.kind, row.attempt = kind, attempt
        row.bound, row.bits = _BOUND, bits
        row.size = row.data_size = row.data_at = 0
        row.ts = table[i, ring.TIME]
        row.saddr, row.daddr, row.responder = saddr, daddr, saddr
        row.ttl, row.ipid = data[ip + 8], load16(data, ip + 4)
        found += 1
    return found
