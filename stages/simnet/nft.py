"""The truth as packet filter rules (nft(8)), for the far namespace.

One verdict map from (address, port) decides every TCP packet to the truth's ports; what is not in it is closed, which
is the most, and costs no element. 65,536 addresses on three ports load in about a second.

The rules are loaded as several transactions, the elements in portions: one transaction is one netlink message to the
kernel, and an ordinary user's socket holds no more than net.core.wmem_max (often 208 KiB).

    open            accept: the packet reaches a listening socket
    limited         accept, but of SYNs to one service only so many a second
    filtered        drop
    rejected        reject with the ICMP type of its kind
    anything else   reject with a RST
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import islice
from typing import Final

from stages.simnet.truth import Kind, Truth

TABLE: Final = "simnet"

#: Pairs of (address, port) that a rule set may decide: the kernel takes about 4 us and 200 bytes for an element.
MAX_PAIRS: Final = 1 << 21

#: Elements in one transaction: about 90 bytes each on the wire.
PORTION: Final = 1_000

#: SYNs to one limited service: one scan, one or two grabs and a retransmission pass, a hammering does not.
LIMIT_PER_SECOND: Final = 1
LIMIT_BURST: Final = 5

#: Limited services that the kernel counts at once, and seconds for which it remembers one.
METERED: Final = 65535
METER_SECONDS: Final = 60

_VERDICTS: Final = {
    Kind.FILTERED: "drop",
    Kind.NET_UNREACHABLE: "goto net_unreachable",
    Kind.HOST_UNREACHABLE: "goto host_unreachable",
    Kind.PORT_UNREACHABLE: "goto port_unreachable",
    Kind.ADMIN_PROHIBITED: "goto admin_prohibited",
}

_CHAINS: Final = f"""
    set metered {{
        type ipv4_addr . inet_service
        size {METERED}
        flags dynamic,timeout
        timeout {METER_SECONDS}s
    }}
    chain limited {{
        tcp flags & (syn | ack) == syn update @metered \
{{ ip daddr . tcp dport limit rate over {LIMIT_PER_SECOND}/second burst {LIMIT_BURST} packets }} drop
        accept
    }}
    chain net_unreachable {{ reject with icmp type net-unreachable; }}
    chain host_unreachable {{ reject with icmp type host-unreachable; }}
    chain port_unreachable {{ reject with icmp type port-unreachable; }}
    chain admin_prohibited {{ reject with icmp type admin-prohibited; }}
"""


class FilterError(OSError):
    """nft is missing or refused the rules."""


def _elements(truth: Truth) -> Iterator[str]:
    """`address . port : verdict` of everything that is not closed."""
    addresses = truth.addresses()
    for port in truth.ports:
        kinds = truth.states(addresses, port)
        limited = truth.limits(addresses, port)
        chosen = kinds != Kind.CLOSED
        for address, kind, slow in zip(
            addresses[chosen].tolist(), kinds[chosen].tolist(), limited[chosen].tolist(), strict=True
        ):
            verdict = _VERDICTS.get(kind) or ("goto limited" if slow else "accept")
            yield f"{IPv4Address(address)} . {port} : {verdict}"


def _portions(name: str, elements: Iterator[str]) -> Iterator[str]:
    """Commands that put `elements` into the set or map called `name`."""
    while portion := ",".join(islice(elements, PORTION)):
        yield f"add element ip {TABLE} {name} {{ {portion} }}\n"


def rules(truth: Truth, interface: str) -> list[str]:
    """The rule set for what comes in from `interface`, one text a transaction. Raises ValueError above MAX_PAIRS."""
    addresses = truth.addresses()
    if len(addresses) * len(truth.ports) > MAX_PAIRS:
        raise ValueError(f"{len(addresses)} addresses x {len(truth.ports)} ports: at most {MAX_PAIRS} can have rules")
    mute = (str(IPv4Address(a)) for a in addresses[truth.mute(addresses)].tolist())
    ports = ",".join(map(str, truth.ports))
    table = f"""table ip {TABLE} {{{_CHAINS}
    map services {{
        type ipv4_addr . inet_service : verdict
    }}
    set mute {{
        type ipv4_addr
    }}
    chain tcp_ports {{
        ip daddr . tcp dport vmap @services
        reject with tcp reset
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname != "{interface}" accept
        {f"tcp dport {{ {ports} }} goto tcp_ports" if ports else ""}
        icmp type echo-request ip daddr @mute drop
    }}
}}
"""
    return [table, *_portions("services", _elements(truth)), *_portions("mute", mute)]


def load(text: str) -> None:
    """Load one transaction into this network namespace. Raises FilterError."""
    program = shutil.which("nft")  # execvp(3) says EACCES, not ENOENT, where a folder of PATH may not be searched
    if program is None:
        raise FilterError("the program nft is missing (Debian: nftables)")
    done = subprocess.run([program, "-f", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FilterError(f"nft refuses the rules: {done.stderr.strip()[:500]}")
