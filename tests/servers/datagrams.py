"""A UDP server for whole prefixes, by AnyIP: each answer comes from the address that was asked. Prints `ready`.

Arguments are PORT=WHAT:

    echo      what came, with the bit set that makes a DNS question an answer (its third byte)
    other     the same, from another port
    ntp       an NTP answer: the transmit timestamp comes back as the originate timestamp
    forge     first what nobody asked for, then as echo
"""

from __future__ import annotations

import select
import socket
import struct
import sys

#: ip(7); Python knows it from 3.14 on.
IP_PKTINFO = 8
_IN_PKTINFO = struct.Struct("=I4s4s")


def answers(what: str, data: bytes) -> list[bytes]:
    echo = data[:2] + bytes([data[2] | 0x80]) + data[3:] if len(data) > 2 else data
    if what == "ntp":
        return [bytes([0x24, 1, 6, 0xE9]) + bytes(20) + data[40:48] + bytes(8) + bytes(range(8))]
    return [bytes(len(data)), echo] if what == "forge" else [echo]


def bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind(("0.0.0.0", port))
    return sock


def main() -> None:
    kinds = {bound(int(port)): what for port, _, what in (word.partition("=") for word in sys.argv[1:])}
    elsewhere = bound(0)
    print("ready", flush=True)
    while True:
        for sock in select.select(list(kinds), [], [])[0]:
            data, control, _, peer = sock.recvmsg(2048, 256)
            _, _, asked = _IN_PKTINFO.unpack(control[0][2])
            source = [(socket.IPPROTO_IP, IP_PKTINFO, _IN_PKTINFO.pack(0, asked, bytes(4)))]
            out = elsewhere if kinds[sock] == "other" else sock
            for answer in answers(kinds[sock], data):
                out.sendmsg([answer], source, 0, peer)


if __name__ == "__main__":
    main()
