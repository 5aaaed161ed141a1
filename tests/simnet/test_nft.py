"""The rules, tried by real connects from the near side: a RST, silence, and each kind of ICMP error."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from pathlib import Path

import pytest

from stages.simnet import nft
from stages.simnet.network import Simnet
from stages.simnet.truth import Kind, Shares, Truth

SILENCE = 0.4
PATIENCE = 5.0
IP_RECVERR = 11
ICMP = {
    Kind.NET_UNREACHABLE: (3, 0),
    Kind.HOST_UNREACHABLE: (3, 1),
    Kind.PORT_UNREACHABLE: (3, 3),
    Kind.ADMIN_PROHIBITED: (3, 13),
}


def place(net: Simnet, port: int, kind: Kind, *, limited: bool = False) -> str:
    addresses = net.truth.addresses()
    kinds = net.truth.states(addresses, port)
    limits = net.truth.limits(addresses, port)
    found = addresses[(kinds == kind) & (limits == limited)]
    return socket.inet_ntoa(int(found[0]).to_bytes(4, "big"))


def dial(net: Simnet, ip: str, port: int, seconds: float) -> tuple[int | None, tuple[int, int] | None]:
    """errno of a connect (None: no answer), and ICMP type and code from the error queue (ip(7))."""
    with net.inside("near"), socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sock.settimeout(seconds)
        try:
            number = sock.connect_ex((ip, port))
        except TimeoutError:
            return None, None
        if number == errno.EAGAIN:
            return None, None
        sock.setblocking(False)
        try:
            _, ancillary, _, _ = sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return number, None
        origin, kind, code = struct.unpack_from("4xBBB", ancillary[0][2])  # struct sock_extended_err
        assert origin == 2  # SO_EE_ORIGIN_ICMP
        return number, (kind, code)


@pytest.mark.parametrize("port", [22, 80, 443])
def test_open(simnet_root: Simnet, port: int) -> None:
    assert dial(simnet_root, place(simnet_root, port, Kind.GARBAGE), port, PATIENCE) == (0, None)


@pytest.mark.parametrize("port", [22, 80, 443])
def test_closed_is_a_reset(simnet_root: Simnet, port: int) -> None:
    assert dial(simnet_root, place(simnet_root, port, Kind.CLOSED), port, PATIENCE) == (errno.ECONNREFUSED, None)


@pytest.mark.parametrize(("ip", "port"), [("10.200.0.1", 80), ("10.0.0.1", 23), ("198.18.0.2", 80)])
def test_outside_of_the_truth_is_closed(simnet_root: Simnet, ip: str, port: int) -> None:
    assert dial(simnet_root, ip, port, PATIENCE) == (errno.ECONNREFUSED, None)


@pytest.mark.parametrize("port", [22, 443])
def test_filtered_is_silence(simnet_root: Simnet, port: int) -> None:
    assert dial(simnet_root, place(simnet_root, port, Kind.FILTERED), port, SILENCE) == (None, None)


@pytest.mark.parametrize("kind", ICMP)
def test_rejected_says_why(simnet_root: Simnet, kind: Kind) -> None:
    number, icmp = dial(simnet_root, place(simnet_root, 80, kind), 80, PATIENCE)
    assert number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED)
    assert icmp == ICMP[kind]


def test_no_rejection_is_lost(simnet_root: Simnet) -> None:
    """The kernel's limit on ICMP errors (icmp(7), icmp_ratelimit) is off."""
    addresses = simnet_root.truth.addresses()
    hosts = addresses[simnet_root.truth.states(addresses, 80) == Kind.HOST_UNREACHABLE][:30]
    for host in hosts.tolist():
        ip = socket.inet_ntoa(host.to_bytes(4, "big"))
        assert dial(simnet_root, ip, 80, PATIENCE) == (errno.EHOSTUNREACH, (3, 1))


def test_limited_answers_a_polite_client_only(simnet_root: Simnet) -> None:
    ip = place(simnet_root, 80, Kind.GARBAGE, limited=True)
    assert simnet_root.truth.limited(ip, 80)
    for _ in range(3):
        assert dial(simnet_root, ip, 80, PATIENCE)[0] == 0
    end = time.monotonic() + 20
    while dial(simnet_root, ip, 80, 0.2)[0] == 0:
        assert time.monotonic() < end, "it never drops a SYN"


def echo(net: Simnet, ip: str, seconds: float) -> bool:
    """Whether the host answers an ICMP echo request (through a ping socket, icmp(7))."""
    with net.inside("near"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with sock:
        sock.settimeout(seconds)
        packet = struct.pack("!BBHHH", 8, 0, 0, 0x1234, 1)
        checksum = 0xFFFF - (0x0800 + 0x1234 + 1)
        sock.sendto(packet[:2] + struct.pack("!H", checksum) + packet[4:], (ip, 0))
        try:
            while True:
                data, (sender, _) = sock.recvfrom(1500)
                if sender == ip and data[20] == 0:
                    return True
        except TimeoutError:
            return False


@pytest.mark.parametrize("mute", [False, True])
def test_echo(simnet_root: Simnet, mute: bool) -> None:
    addresses = simnet_root.truth.addresses()
    host = int(addresses[simnet_root.truth.mute(addresses) == mute][0])
    assert echo(simnet_root, socket.inet_ntoa(host.to_bytes(4, "big")), SILENCE if mute else PATIENCE) is not mute


def test_the_demos_rules_are_made_fast_enough() -> None:
    text = "".join(nft.rules(Truth(1, ("10.0.0.0/16",), (22, 80, 443)), "far0"))
    assert text.count(" . 80 : accept") + text.count(" . 80 : goto limited") == 3192
    assert 'iifname != "far0" accept' in text


def test_a_truth_without_anything() -> None:
    text = "".join(nft.rules(Truth(1, (), (), Shares(open=0.0, filtered=0.0, rejected=0.0)), "far0"))
    assert "elements" not in text


def test_too_many_pairs() -> None:
    with pytest.raises(ValueError, match="at most"):
        nft.rules(Truth(1, ("10.0.0.0/11",), (80, 443)), "far0")


@pytest.mark.parametrize("made", [False, True], ids=["no folder", "a file that is no program"])
def test_nft_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "nft").touch(mode=0o600)  # as a folder that may not be searched: EACCES
    monkeypatch.setenv("PATH", str(tmp_path if made else tmp_path / "none"))
    with pytest.raises(nft.FilterError, match="nftables"):
        nft.load("")


def test_nft_refuses(simnet_root: Simnet) -> None:
    with simnet_root.inside("near"), pytest.raises(nft.FilterError, match="refuses"):
        nft.load(f"table ip {os.getpid()} nonsense")


def test_a_transaction_fits_an_ordinary_users_socket() -> None:
    transactions = nft.rules(Truth(1, ("10.0.0.0/16",), (22, 80, 443)), "far0")
    assert len(transactions) > 10
    assert max(text.count(",") for text in transactions[1:]) < nft.PORTION
