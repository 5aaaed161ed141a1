"""Adoption: a kernel socket out of a SYN-ACK, against a real kernel on the far side."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import socket
import ssl
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

from stages.net import confine, firewall_rules, privileges, repair
from stages.net.firewall import Lease
from stages.net.repair import Half, adopt
from tests.require import require
from tests.servers.half_open import LINUX, NONE, OWN_WSCALE, ROW, WINDOWS, Shaker, shaker
from tests.servers.inside import Inside, inside
from tests.servers.talkers import Handler, talker
from tests.servers.veth import FAR, NEAR, Veth, veth

PORTS = (40000, 48000)
DEADLINE = 60.0
_DATA_SEGMENTS_IN = 152  # of struct tcp_info (linux/tcp.h)
#: Counts bare ACKs to port 7000 that the far side gets, and drops those from `unlucky` ports.
FAR_RULES = """
add table ip far
add set ip far unlucky { type inet_service; }
add chain ip far pre { type filter hook prerouting priority 0; policy accept; }
add rule ip far pre tcp flags & rst == rst counter comment "resets"
add rule ip far pre tcp sport @unlucky tcp flags & (fin | syn | rst | ack) == ack counter drop comment "lost"
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    require(shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), "needs nftables")
    with veth() as made:
        made.far("nft", "-f", "-", input=FAR_RULES)
        yield made


@pytest.fixture(scope="module")
def near(pair: Veth) -> Iterator[Inside]:
    with inside(pair.near_pid) as there:
        reason = there(repair.probe)
        require(reason is None, f"adoption: {reason}")
        yield there


@pytest.fixture(scope="module")
def lease(near: Inside) -> Iterator[Lease]:
    with near(lambda: Lease.take([NEAR], PORTS, expiry=3600)) as held:
        yield held


@pytest.fixture(scope="module")
def shake(near: Inside, lease: Lease) -> Iterator[Shaker]:
    with ExitStack() as stack:
        yield near(lambda: stack.enter_context(shaker("near0", NEAR)))


_ports = iter(range(*PORTS))


@pytest.fixture
def own_port() -> int:
    return next(_ports)


@contextmanager
def far(pair: Veth, handler: Handler) -> Iterator[int]:
    with inside(pair.far_pid) as there, ExitStack() as stack:
        yield there(lambda: stack.enter_context(talker(handler, FAR, backlog=4096)))[1]


def adopted(near: Inside, row: Any, **how: Any) -> socket.socket:
    sock = near(lambda: adopt(row, **{"own_wscale": OWN_WSCALE, **how}))
    assert not sock.getblocking()
    sock.settimeout(DEADLINE)
    return sock


def read_all(sock: socket.socket) -> bytes:
    parts = []
    while data := sock.recv(1 << 20):
        parts.append(data)
    return b"".join(parts)


def exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += (part := sock.recv(size - len(data)))
        assert part
    return data


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + DEADLINE
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return met


def counted(pair: Veth, comment: str) -> int:
    words = pair.far("nft", "list", "chain", "ip", "far", "pre").stdout.split("\n")
    (line,) = (line for line in words if f'"{comment}"' in line)
    return int(line.split("packets ")[1].split()[0])


def tcp_info(sock: socket.socket) -> dict[str, int]:
    """Of struct tcp_info (linux/tcp.h), what adoption tells."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    state, _, _, _, _, options, scales = struct.unpack_from("7B", raw)
    return {"state": state, "options": options, "snd_wscale": scales & 15, "rcv_wscale": scales >> 4,
            "snd_mss": struct.unpack_from("=I", raw, 16)[0]}  # fmt: skip


@pytest.mark.parametrize("options", [WINDOWS, LINUX, NONE], ids=["windows", "linux", "none"])
def test_the_server_speaks_first(pair: Veth, near: Inside, shake: Shaker, own_port: int, options: bytes) -> None:
    heard = []

    def ssh(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-test\r\n")
        heard.append(exactly(connection, 5))
        connection.sendall(b"bye")
        connection.close()

    with far(pair, ssh) as port:
        row = shake.synack(FAR, port, own_port, options=options)
        with adopted(near, row, own_wscale=-1 if options is NONE else OWN_WSCALE) as sock:
            assert sock.getsockname() == (NEAR, own_port)
            assert sock.getpeername() == (FAR, port)
            assert exactly(sock, 14) == b"SSH-2.0-test\r\n"
            sock.sendall(b"hello")
            assert read_all(sock) == b"bye"
    assert heard == [b"hello"]


@pytest.mark.parametrize("acknowledge", [True, False])
def test_we_speak_first(pair: Veth, near: Inside, shake: Shaker, own_port: int, acknowledge: bool) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"200 " + exactly(connection, 5))
        connection.close()

    with far(pair, answer) as port:
        row = shake.synack(FAR, port, own_port)
        with adopted(near, row, acknowledge=acknowledge) as sock:
            sock.sendall(b"hello")
            assert read_all(sock) == b"200 hello"


@pytest.mark.parametrize("options", [WINDOWS, LINUX, NONE], ids=["windows", "linux", "none"])
def test_much_data_both_ways(pair: Veth, near: Inside, shake: Shaker, own_port: int, options: bytes) -> None:
    """A window scale that is wrong by one bit would stop it, or break the peer's."""
    sizes = []
    blob = hashlib.shake_128(b"longline").digest(8 << 20)

    def exchange(connection: socket.socket) -> None:
        connection.sendall(blob)
        sizes.append(hashlib.sha256(exactly(connection, len(blob))).digest())
        connection.close()

    with far(pair, exchange) as port:
        row = shake.synack(FAR, port, own_port, options=options)
        with adopted(near, row, own_wscale=-1 if options is NONE else OWN_WSCALE) as sock:
            received = exactly(sock, len(blob))
            sock.sendall(received)
            assert read_all(sock) == b""
    assert received == blob
    assert sizes == [hashlib.sha256(blob).digest()]


def test_what_the_handshake_agreed_on_is_what_the_socket_knows(
    pair: Veth, near: Inside, shake: Shaker, own_port: int
) -> None:
    with far(pair, lambda _: None) as port:
        row = shake.synack(FAR, port, own_port, options=LINUX)
        assert row["has_ts"]
        with adopted(near, row) as sock:
            info = tcp_info(sock)
            assert info == {
                "state": 1, "options": 0b111, "snd_wscale": int(row["wscale"]), "rcv_wscale": OWN_WSCALE,
                "snd_mss": 1460 - 12,
            }  # fmt: skip
        row = shake.synack(FAR, port, next(_ports), options=NONE)
        with adopted(near, row, own_wscale=-1) as sock:
            # A scale of 0, and room for timestamps that are not sent: it takes part in segments all the same.
            assert tcp_info(sock) == {"state": 1, "options": 4, "snd_wscale": 0, "rcv_wscale": 0, "snd_mss": 1448}


@pytest.mark.parametrize(("mss", "longest"), [(88, 88), (536, 536), (0, 536), (1000, 1000)])
def test_segments_are_no_longer_than_the_peer_takes(
    pair: Veth, near: Inside, shake: Shaker, own_port: int, mss: int, longest: int
) -> None:
    segments = []

    def count(connection: socket.socket) -> None:
        exactly(connection, 5000)
        raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        segments.append(struct.unpack_from("=I", raw, _DATA_SEGMENTS_IN)[0])
        connection.sendall(b"seen")

    with far(pair, count) as port:
        row = shake.synack(FAR, port, own_port)
        row["mss"] = mss
        with adopted(near, row) as sock:
            sock.sendall(b"x" * 5000)
            assert exactly(sock, 4) == b"seen"
    assert segments[0] >= 5000 / longest


@pytest.mark.parametrize("seq", [0xFFFF_FFFF, 0xFFFF_FFFE, 0x7FFF_FFFF, 0])
def test_sequence_numbers_wrap(pair: Veth, near: Inside, shake: Shaker, own_port: int, seq: int) -> None:
    """Our next number is 0 too: to the kernel that means, outside repair, that none was chosen."""
    with far(pair, lambda connection: connection.sendall(exactly(connection, 5))) as port:
        row = shake.synack(FAR, port, own_port, seq=seq)
        assert int(row["ack"]) == (seq + 1) & 0xFFFF_FFFF
        with adopted(near, row) as sock:
            sock.sendall(b"hello")
            assert exactly(sock, 5) == b"hello"


def test_the_peer_has_syn_cookies(pair: Veth, near: Inside, shake: Shaker, own_port: int) -> None:
    pair.far("sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
    try:
        with far(pair, lambda connection: connection.sendall(b"220 hello\r\n")) as port:
            row = shake.synack(FAR, port, own_port)
            with adopted(near, row) as sock:
                assert exactly(sock, 11) == b"220 hello\r\n"
    finally:
        pair.far("sysctl", "-qw", "net.ipv4.tcp_syncookies=1")


@pytest.mark.parametrize("speaks_first", ["server", "we"])
def test_the_first_ack_is_lost(
    pair: Veth, near: Inside, shake: Shaker, lease: Lease, own_port: int, speaks_first: str
) -> None:
    """The server repeats its SYN-ACK; the rule lets it through to the socket, which acknowledges it."""

    def serve(connection: socket.socket) -> None:
        if speaks_first == "server":
            connection.sendall(b"220 hello\r\n")
        else:
            connection.sendall(b"220 " + exactly(connection, 5) + b"\r\n")

    assert lease.sparing
    with far(pair, serve) as port:
        pair.far("nft", f"add element ip far unlucky {{ {own_port} }}")
        lost = counted(pair, "lost")
        row = shake.synack(FAR, port, own_port)
        with adopted(near, row) as sock:
            if speaks_first == "we":
                sock.sendall(b"hello")
            assert until(lambda: counted(pair, "lost") > lost)
            pair.far("nft", f"delete element ip far unlucky {{ {own_port} }}")
            assert exactly(sock, 11) == b"220 hello\r\n"


def test_no_reset_and_nothing_of_ours_dropped(
    pair: Veth, near: Inside, shake: Shaker, lease: Lease, own_port: int
) -> None:
    with far(pair, lambda connection: connection.sendall(b"x" * 300_000)) as port:
        resets = counted(pair, "resets")
        before = firewall_rules.dropped(pair.near("nft", "-j", "list", "table", "ip", lease.table).stdout)
        row = shake.synack(FAR, port, own_port)
        assert until(lambda: _dropped(pair, lease) == before + 1)  # the SYN-ACK: nobody had the socket yet
        with adopted(near, row) as sock:
            assert exactly(sock, 300_000) == b"x" * 300_000
        assert _dropped(pair, lease) == before + 1
        assert counted(pair, "resets") == resets


def _dropped(pair: Veth, lease: Lease) -> int:
    return firewall_rules.dropped(pair.near("nft", "-j", "list", "table", "ip", lease.table).stdout)


@pytest.mark.parametrize("acknowledge", [True, False])
@pytest.mark.parametrize("options", [WINDOWS, LINUX], ids=["windows", "linux"])
def test_what_leaves_has_the_numbers_that_the_peer_waits_for(
    pair: Veth, near: Inside, shake: Shaker, own_port: int, acknowledge: bool, options: bytes
) -> None:
    """One bare ACK, and then the data; or the data alone. Window and timestamps go on from what the SYN said."""
    with far(pair, lambda connection: connection.sendall(exactly(connection, 5))) as port, near(_tap) as tap:
        row = shake.synack(FAR, port, own_port, options=options)
        with adopted(near, row, acknowledge=acknowledge) as sock:
            sock.sendall(b"hello")
            assert exactly(sock, 5) == b"hello"
        left = [segment for segment in _outgoing(tap, own_port) if not segment["flags"] & SYN]
    first, *more = left
    numbers = (int(row["ack"]), (int(row["seq"]) + 1) & 0xFFFF_FFFF)
    assert (first["seq"], first["ack"]) == numbers
    assert first["window"] > 0
    if acknowledge:
        assert (first["flags"], first["data"]) == (ACK, b"")
        first = more[0]
        assert (first["seq"], first["ack"]) == numbers
    assert (first["flags"], first["data"]) == (ACK | PSH, b"hello")
    stamps = [segment["ts"] for segment in left]
    if options is WINDOWS:
        assert set(stamps) == {None}
    else:
        assert all(0 < (stamp - int(row["ts_ecr"])) & 0xFFFF_FFFF < 1 << 20 for stamp in stamps)


SYN, PSH, ACK = 0x02, 0x08, 0x10


def _tap() -> socket.socket:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))  # ETH_P_ALL: what leaves, too
    tap.bind(("near0", 3))
    tap.setblocking(False)
    return tap


def _outgoing(tap: socket.socket, own_port: int) -> list[dict[str, Any]]:
    found = []
    while True:
        try:
            packet, (_, _, kind, *_) = tap.recvfrom(65536)
        except BlockingIOError:
            return found
        tcp = packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
        if kind != socket.PACKET_OUTGOING or packet[9] != socket.IPPROTO_TCP:
            continue
        source, _, seq, ack, offset, flags, window = struct.unpack_from("!HHIIBBH", tcp)
        if source == own_port:
            options, data = tcp[20 : (offset >> 4) * 4], tcp[(offset >> 4) * 4 :]
            at = options.find(b"\x08\x0a")  # the only option of these segments
            ts = int.from_bytes(options[at + 2 : at + 6], "big") if at >= 0 else None
            found.append({"seq": seq, "ack": ack, "flags": flags, "window": window, "ts": ts, "data": data})


def test_both_ways_to_close(pair: Veth, near: Inside, shake: Shaker, own_port: int) -> None:
    ends: list[bytes] = []
    done = threading.Event()

    def wait_for_end(connection: socket.socket) -> None:
        ends.append(read_all(connection))
        connection.sendall(b"seen")
        connection.close()
        done.set()

    with far(pair, wait_for_end) as port:
        with adopted(near, shake.synack(FAR, port, own_port)) as sock:
            sock.sendall(b"all")
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == b"seen"
        assert done.wait(DEADLINE)
    assert ends == [b"all"]


def test_tls_by_openssl(pair: Veth, near: Inside, shake: Shaker, own_port: int, tmp_path: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_certificate(tmp_path))

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.sendall(wrapped.recv(100).upper())

    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    with far(pair, serve) as port:
        sock = adopted(near, shake.synack(FAR, port, own_port), acknowledge=False)
        with trusting.wrap_socket(sock) as wrapped:
            assert wrapped.getpeercert(binary_form=True)
            wrapped.sendall(b"over tls")
            assert wrapped.recv(100) == b"OVER TLS"


def _certificate(folder: Any) -> tuple[str, str]:
    import subprocess

    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
         "-out", cert, "-subj", "/CN=adopted", "-days", "2"], check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return cert, key


def test_an_asyncio_transport_takes_it(pair: Veth, near: Inside, shake: Shaker, own_port: int) -> None:
    with far(pair, lambda connection: connection.sendall(exactly(connection, 5)[::-1])) as port:
        sock = adopted(near, shake.synack(FAR, port, own_port))

        async def talk() -> bytes:
            reader, writer = await asyncio.open_connection(sock=sock)
            writer.write(b"hello")
            answer = await asyncio.wait_for(reader.readexactly(5), DEADLINE)
            writer.close()
            await writer.wait_closed()
            return answer

        assert asyncio.run(talk()) == b"olleh"


def test_one_own_port_to_many_peers(pair: Veth, near: Inside, shake: Shaker, own_port: int) -> None:
    """The scanner's port depends on the target; thousands share one."""
    listeners = []
    with inside(pair.far_pid) as there:
        listener = there(lambda: socket.create_server(("0.0.0.0", 0), backlog=4096))
    listeners.append(listener)
    listener.settimeout(DEADLINE)
    port = listener.getsockname()[1]
    peers = [f"10.1.0.{number}" for number in range(1, 101)]
    socks, spent = [], []
    try:
        for peer in peers:
            row = shake.synack(peer, port, own_port)
            begin = time.perf_counter()
            socks.append(adopted(near, row))
            spent.append(time.perf_counter() - begin)
        for _ in peers:
            connection, (address, _) = listener.accept()
            assert address == NEAR
            with connection:
                connection.sendall(connection.getsockname()[0].encode())
        assert [read_all(sock).decode() for sock in socks] == peers
    finally:
        for sock in [*socks, *listeners]:
            sock.close()
    print(f"an adoption, with the hop to the thread inside: {statistics.median(spent) * 1e6:.0f} us")


def test_a_connection_that_is_there_already(pair: Veth, near: Inside, shake: Shaker, own_port: int) -> None:
    with far(pair, lambda _: None) as port:
        row = shake.synack(FAR, port, own_port)
        with adopted(near, row), pytest.raises(OSError, match="assign requested address") as caught:
            near(lambda: adopt(row, own_wscale=OWN_WSCALE))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def row(**changes: int) -> Any:
    values = {"peer": 0xC6336401, "ours": 0xC6336402, "peer_port": 80, "own_port": 40000, "seq": 1, "ack": 2,
              "window": 1000, "mss": 1460, "wscale": 7, "sack": 1, "has_ts": 0, "ts_val": 0, "ts_ecr": 0}  # fmt: skip
    return values | changes


def test_an_address_that_is_not_ours(near: Inside) -> None:
    with pytest.raises(OSError, match="assign requested address") as caught:
        near(lambda: adopt(row(ours=0xC6336409), own_wscale=8))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_segments_smaller_than_the_kernel_sends(near: Inside) -> None:
    with pytest.raises(OSError, match="87 bytes") as caught:
        near(lambda: adopt(row(mss=87), own_wscale=8))
    assert caught.value.errno == errno.EMSGSIZE


@pytest.mark.parametrize(
    ("field", "value"),
    [("peer", -1), ("peer", 2**32), ("peer_port", 0), ("own_port", 65536), ("seq", 2**32), ("window", 65536),
     ("wscale", -2), ("sack", 2), ("has_ts", -1), ("ts_ecr", 2**32), ("mss", -1)],
)  # fmt: skip
def test_numbers_that_no_segment_has(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} {value} is not between"):
        adopt(row(**{field: value}), own_wscale=8)


def test_a_row_of_numbers_is_read_by_name() -> None:
    rows = np.zeros(1, ROW)
    for name, value in row().items():
        rows[0][name] = value
    assert Half.of(rows[0]) == Half.of(row())


def test_without_the_capability(pair: Veth) -> None:
    def without() -> str | None:
        privileges.drop()
        with pytest.raises(OSError, match="not permitted") as caught:
            adopt(row(), own_wscale=8)
        assert caught.value.errno == errno.EPERM
        return repair.probe()

    with inside(pair.near_pid) as there:
        assert there(without) == "adoption (TCP_REPAIR) needs CAP_NET_ADMIN"


def test_confined_to_the_simulated() -> None:
    if confine.marked():
        pytest.skip("these tests themselves run inside")
    with pytest.raises(confine.ConfinedError):
        adopt(row(), own_wscale=8)
