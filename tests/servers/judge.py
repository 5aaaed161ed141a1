"""Was a captured scan a good neighbour? Every packet of ours, read by scapy, against what the other side had offered.

`judge` gives what was wrong, as text, one line for each packet; `Flow` is one connection as it was seen on the wire.
Rules by their sections: RFC 9293 3.4 (numbers), 3.8.6 (window), 3.7.1 (MSS), 3.1 (checksums), RFC 7323 2.2 (scale).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from tests.servers.capture import Frame

_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1
#: RFC 9293 3.7.1: of a peer that names none.
_NO_MSS: Final = 536


def apart(a: int, b: int) -> int:
    """a - b of sequence numbers, signed."""
    return ((a - b + _HALF) & _MASK) - _HALF


@dataclass
class Flow:
    """One connection of ours. Numbers count from the first of either side."""

    began: int  #: our initial sequence number
    own_scale: int | None
    sent: int = 1  #: behind the last that we sent
    theirs: int | None = None  #: the peer's initial sequence number
    scale: int = 0  #: of the peer's window
    mss: int = _NO_MSS
    edge: int = 1  #: the right edge of what it ever offered
    window: int = 0  #: as it stands
    next: int = 1  #: behind the last that came without a gap
    beyond: list[tuple[int, int]] = field(default_factory=list)  #: what came behind a gap
    resets: int = 0  #: of this host
    late_resets: int = 0  #: of these, when we had ended the connection: what came then was nobody's
    ended: bool = False  #: we have sent FIN or RST
    packets: int = 0

    def came(self, tcp: Packet, size: int) -> None:
        """A packet of the peer."""
        if "S" in tcp.flags:
            if self.theirs is None and "A" in tcp.flags and apart(tcp.ack, self.began) == 1:
                self.theirs = tcp.seq
                options = dict(option for option in tcp.options if isinstance(option, tuple) and len(option) == 2)
                self.mss = options.get("MSS") or _NO_MSS
                if self.own_scale is not None and options.get("WScale") is not None:
                    self.scale = min(options["WScale"], 14)
                self._offer(tcp, tcp.window)
            return
        if self.theirs is None:
            return
        if "A" in tcp.flags:
            self._offer(tcp, tcp.window << self.scale)
        first = apart(tcp.seq, self.theirs)
        self.beyond.append((first, first + size + ("F" in tcp.flags)))
        for one in sorted(self.beyond):
            if one[0] <= self.next:
                self.next = max(self.next, one[1])
        self.beyond = [one for one in self.beyond if one[1] > self.next]

    def _offer(self, tcp: Packet, window: int) -> None:
        acknowledged = apart(tcp.ack, self.began)
        self.edge = max(self.edge, acknowledged + window)
        self.window = window

    def went(self, tcp: Packet, size: int) -> Iterator[str]:
        """A packet of ours: what is wrong with it."""
        self.packets += 1
        first = apart(tcp.seq, self.began)
        end = first + size + ("F" in tcp.flags)
        if "R" in tcp.flags:
            self.resets += 1
            self.late_resets += self.ended
        late, self.ended = self.ended, self.ended or "R" in tcp.flags or "F" in tcp.flags
        if late and "R" in tcp.flags:
            return  # it answers a packet, and has its numbers
        if self.theirs is None:
            yield "before any SYN-ACK"
            return
        if size > self.mss:
            yield f"{size} bytes, the peer takes {self.mss}"
        # With the window shut one byte asks whether it has opened (3.8.6.1); a FIN needs no window of its own.
        allowed = max(self.edge, self.edge + 1 if self.window == 0 else 0) + ("F" in tcp.flags)
        if end > allowed:
            yield f"up to {end}, offered up to {self.edge}"
        if first > self.sent:
            yield f"from {first}, sent so far {self.sent}"
        if "A" in tcp.flags and apart(tcp.ack, self.theirs) > self.next:
            yield f"acknowledges {apart(tcp.ack, self.theirs)}, come so far {self.next}"
        self.sent = max(self.sent, end)


def is_right(packet: Packet) -> bool:
    """Whether IP and TCP checksums are what scapy writes."""
    again = packet.copy()
    del again[IP].chksum
    del again[TCP].chksum
    made = IP(bytes(again[IP]))
    return bool(made.chksum == packet[IP].chksum and made[TCP].chksum == packet[TCP].chksum)


@dataclass
class Judged:
    wrong: list[str] = field(default_factory=list)
    flows: dict[tuple[int, str, int], Flow] = field(default_factory=dict)  #: by own port, peer, its port

    @property
    def resets(self) -> int:
        return sum(flow.resets for flow in self.flows.values())

    @property
    def late_resets(self) -> int:
        return sum(flow.late_resets for flow in self.flows.values())


def judge(frames: Iterable[Frame], ports: tuple[int, int], *, finished: bool = True) -> Judged:
    """What passed between ports of ours and anybody. `finished`: packets of the peer carry their checksums, so that
    one that was damaged on its way is known, and counts as not come."""
    judged = Judged()
    for frame in frames:
        if frame.data[12:14] != b"\x08\x00" or frame.data[23] != 6:
            continue
        packet = Ether(frame.data)
        if TCP not in packet:
            continue
        ip, tcp = packet[IP], packet[TCP]
        own, peer, its = (tcp.sport, ip.dst, tcp.dport) if frame.ours else (tcp.dport, ip.src, tcp.sport)
        if not ports[0] <= own <= ports[1]:
            continue
        size = ip.len - ip.ihl * 4 - tcp.dataofs * 4
        flow = judged.flows.get((own, peer, its))
        if not frame.ours:
            if flow is not None and (not finished or is_right(packet)):
                flow.came(tcp, size)
            continue
        where = f"{own} -> {peer}:{its} {tcp.flags} seq {tcp.seq} ack {tcp.ack}, {size} bytes"
        if not is_right(packet):
            judged.wrong.append(f"{where}: a wrong checksum")
        if flow is None or (tcp.flags == "S" and tcp.seq != flow.began):
            if tcp.flags != "S":
                judged.wrong.append(f"{where}: of no connection of ours")
                continue
            scale = dict(option for option in tcp.options if len(option) == 2).get("WScale")
            judged.flows[own, peer, its] = Flow(tcp.seq, scale)
            continue
        if tcp.flags == "S":
            continue  # sent again
        judged.wrong += [f"{where}: {text}" for text in flow.went(tcp, size)]
    return judged
