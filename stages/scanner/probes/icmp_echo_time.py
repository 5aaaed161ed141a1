"""icmp_echo_time: an echo request that carries the time of sending and the target's address, which the reply brings
back: seconds and microseconds since the epoch, and the address, four bytes each in network order.

The time is that at which its batch was filled, in milliseconds. It comes from the target, who may write anything there;
`rtt_us` comes from our own log.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stages.net.checksum import finish
from stages.net.jit import kernel
from stages.net.wide import swap_bytes
from stages.scanner import templates
from stages.scanner.fields import own_names
from stages.scanner.probes.base import ProbeModule
from stages.scanner.probes.icmp_echoscan import classify, packet_filter
from stages.scanner.validation import echo_id, echo_sequence, tag

NAME: Final = "icmp_echo_time"

_PAYLOAD_BYTES: Final = 12

_ZERO, _LOW16, _LOW32 = np.uint64(0), np.uint64(0xFFFF), np.uint64(0xFFFFFFFF)
_S16, _S32, _S48 = np.uint64(16), np.uint64(32), np.uint64(48)
_THOUSAND = np.uint64(1000)


def module(args: str) -> ProbeModule:
    """Takes no arguments. Raises ValueError for any."""
    if args:
        raise ValueError(f"{NAME} takes no arguments, not {args!r}")
    return ProbeModule(
        name=NAME,
        args=args,
        uses_ports=False,
        fields=own_names(NAME),
        template=templates.get(NAME, bytes(_PAYLOAD_BYTES).hex()),
        pseudo_sum=0,
        stamp_at=None,
        fill=fill,
        classify=classify,
        filter=packet_filter,
        data=True,
    )


@kernel
def fill(words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any) -> None:
    """See `stages.scanner.probes.base`."""
    k0, k1, sources = constants.k0, constants.k1, constants.sources
    probes, several = np.int64(constants.probes), np.uint64(sources.size)
    t2, t4 = constants.words[0], constants.words[2]
    seconds = (constants.milliseconds // _THOUSAND) & _LOW32
    micro = (constants.milliseconds % _THOUSAND) * _THOUSAND
    time_sum = (seconds >> _S16) + (seconds & _LOW16) + (micro >> _S16) + (micro & _LOW16)
    count = address.size
    for j in range(probes):
        attempt = constants.first_attempt + np.uint64(j)
        for i in range(count):
            row = i * probes + j
            source[row] = sources[np.int64((address[i] + attempt) % several)]
            tags[row] = tag(k0, k1, source[row], address[i], _ZERO)
        for i in range(count):
            row = i * probes + j
            value, target, ours = tags[row], address[i], source[row]
            ident, seq, ip_id = echo_id(value), echo_sequence(value, attempt), value >> _S48
            own = (target >> _S16) + (target & _LOW16)
            ip_check = finish(constants.ip_sum + own + (ours >> _S16) + (ours & _LOW16) + ip_id)
            check = finish(constants.l4_sum + ident + seq + time_sum + own)
            words[row, 2] = swap_bytes(t2 | (ip_id << _S32))
            words[row, 3] = swap_bytes((ip_check << _S48) | (ours << _S16) | (target >> _S16))
            words[row, 4] = swap_bytes(t4 | ((target & _LOW16) << _S48) | (check << _S16) | ident)
            words[row, 5] = swap_bytes((seq << _S48) | (seconds << _S16) | (micro >> _S16))
            words[row, 6] = swap_bytes(((micro & _LOW16) << _S48) | (target << _S16))
