"""The responder in its namespace, met by the near kernel's own sockets."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.net.confine import ConfinedError
from stages.simnet.network import NamespacesClosed, Simnet, SimnetError
from stages.simnet.processes import standing_in
from stages.simnet.responder import Loop, row_bytes
from stages.simnet.responder_spec import Reaction, Responder, Says, request
from stages.simnet.responder_truth import Transport
from stages.simnet.spec import Mode, Spec
from stages.simnet.wiring import FAR_LINK, RESPONDER_MAC
from tests.require import require
from tests.simnet.conftest import until

ROOT = Path(__file__).parents[2]
EVERY = {reaction.name.lower(): 1 / len(Reaction) for reaction in Reaction}
NET = Spec(
    seed=5, targets=("10.0.0.0/24",), ports=(80,), servers=False,
    responder=Responder(("10.64.0.0/20", "10.80.0.0/24"), EVERY, (0.3,)),
)  # fmt: skip


@pytest.fixture(scope="module")
def net() -> Iterator[Simnet]:
    made = Simnet(NET)
    try:
        made.start()
    except NamespacesClosed as error:
        require(False, str(error))
    with made:
        yield made


def one(net: Simnet, reaction: Reaction, transport: Transport = "tcp", port: int = 80) -> str:
    """An address with this reaction."""
    truth = net.responder_truth()
    addresses = truth.addresses()
    found = addresses[truth.reactions(addresses, port, transport) == reaction]
    return socket.inet_ntoa(int(found[0]).to_bytes(4, "big"))


def connect(net: Simnet, address: str, seconds: float = 5.0) -> int:
    """errno of a TCP connection by the near kernel; -1: no answer within `seconds`."""
    with net.inside("near"), socket.socket() as sock:
        sock.settimeout(seconds)
        try:
            return sock.connect_ex((address, 80))
        except TimeoutError:
            return -1


@pytest.mark.parametrize(
    ("reaction", "code"),
    [
        (Reaction.SYNACK, 0), (Reaction.BARE, 0), (Reaction.TARPIT, 0), (Reaction.DUPLICATE, 0),
        (Reaction.DELAYED, 0), (Reaction.RST, errno.ECONNREFUSED), (Reaction.BAD_CHECKSUM, errno.EAGAIN),
        (Reaction.BAD_IP_CHECKSUM, errno.EAGAIN), (Reaction.SILENCE, errno.EAGAIN), (Reaction.LOST, errno.EAGAIN),
    ],
)  # fmt: skip
def test_the_kernel_of_the_near_side_believes_it(net: Simnet, reaction: Reaction, code: int) -> None:
    require(os.geteuid() == 0, "root, to enter a namespace and come back")
    patience = 5.0 if code != errno.EAGAIN else 0.5
    assert connect(net, one(net, reaction), patience) == code


def test_what_it_saw_is_counted(net: Simnet) -> None:
    require(os.geteuid() == 0, "root, to enter a namespace and come back")
    before = net.responder_counters()
    assert connect(net, one(net, Reaction.RST)) == errno.ECONNREFUSED
    with net.inside("near"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5.0)
        sock.sendto(b"hello", (one(net, Reaction.SYNACK, "udp", 9), 9))
        assert sock.recv(100) == b"hello"
    after = net.responder_counters()
    grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert grown.pop("seen") >= 2  # and perhaps a late RST of another test
    assert grown.pop("rst", 0) <= 1
    assert {"syn": 1, "udp": 1, "answers": 2}.items() <= grown.items()
    assert after["ring_drops"] == after["invalid"] == 0


def test_the_rest_of_the_far_side_answers_as_ever(net: Simnet) -> None:
    require(os.geteuid() == 0, "root, to enter a namespace and come back")
    with net.inside("near"), socket.socket() as sock:
        sock.settimeout(5.0)
        assert sock.connect_ex(("10.0.0.1", 81)) == errno.ECONNREFUSED


def test_it_ends_with_its_network() -> None:
    with Simnet(NET) as own:
        program = own._responder
        assert program is not None
        networks = {os.stat(f"/proc/{pid}/ns/net").st_ino for pid in (own.near_pid, own.far_pid)}
        assert program.poll() is None
    assert program.poll() is not None
    assert until(lambda: not standing_in(networks))
    with pytest.raises(SimnetError, match="no responder"):
        own.responder_counters()


def test_a_responder_that_dies_is_told() -> None:
    with Simnet(NET) as own:
        assert own._responder is not None
        own._responder.kill()
        own._responder.wait()
        with pytest.raises(SimnetError, match="has ended"):
            own.responder_counters()


def test_it_never_answers_outside_of_a_simulated_network() -> None:
    """Whether LONGLINE_CONFINE is set or not."""
    assert NET.responder is not None
    with pytest.raises(ConfinedError):
        Loop(1, NET.responder, "eth9", RESPONDER_MAC)
    asked = request(1, NET.responder, "eth9", RESPONDER_MAC)
    for confined in ("1", ""):
        done = subprocess.run(
            [sys.executable, "-m", "stages.simnet.responder"], input=asked, capture_output=True, timeout=60, cwd=ROOT,
            env={**os.environ, "LONGLINE_CONFINE": confined}, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert b"not made by longline simnet" in done.stdout


def test_the_end_of_its_input_is_its_end(net: Simnet) -> None:
    program = net.far_run(
        [sys.executable, "-m", "stages.simnet.responder"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert NET.responder is not None
    said, _ = program.communicate(request(1, NET.responder, FAR_LINK, "02:00:00:00:00:09") + b"\n", timeout=60)
    assert program.returncode == 0
    ready, counters = said.splitlines()
    assert ready == b'{"ready": true}'
    assert b'"seen": 0' in counters
    wrong = net.far_run(
        [sys.executable, "-m", "stages.simnet.responder"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    said, _ = wrong.communicate(request(1, NET.responder, "eth9", RESPONDER_MAC), timeout=60)
    assert wrong.returncode == 1
    assert b"error" in said


def test_there_is_none_on_loopback() -> None:
    with pytest.raises(ValueError, match="needs namespaces"):
        Spec(mode=Mode.LOOPBACK, responder=NET.responder)


def test_the_spec_carries_it() -> None:
    assert Spec.parse(NET.dump()) == NET
    assert Spec.parse(Spec().dump()).responder is None


TALK = Spec(
    seed=5, targets=("10.0.0.0/24",), ports=(80,), servers=False,
    responder=Responder(
        ("10.64.0.0/20",), {"synack": 1.0},
        says={says.name.lower(): 1 / len(Says) for says in Says}, body=2000,
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def talk() -> Iterator[Simnet]:
    made = Simnet(TALK)
    try:
        made.start()
    except NamespacesClosed as error:
        require(False, str(error))
    with made:
        yield made


@pytest.mark.parametrize("says", [says for says in Says if says not in (Says.DEAF, Says.MUTE)])
def test_the_kernel_of_the_near_side_hears_what_the_truth_says(talk: Simnet, says: Says) -> None:
    require(os.geteuid() == 0, "root, to enter a namespace and come back")
    truth = talk.responder_truth()
    addresses = truth.addresses()
    chosen = addresses[truth.says(addresses, 80) == says][:5]
    for address, banner in zip(chosen.tolist(), truth.banners(chosen, 80), strict=True):
        with talk.inside("near"), socket.socket() as sock:
            sock.settimeout(20.0)
            sock.connect((socket.inet_ntoa(address.to_bytes(4, "big")), 80))
            if says is not Says.GREETING:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            heard, refused = b"", False
            try:
                while len(heard) < len(banner):
                    more = sock.recv(65536)
                    assert more, "the connection ended too soon"
                    heard += more
                if says in (Says.CLOSE, Says.RESET):
                    assert sock.recv(1) == b""
            except ConnectionResetError:
                refused = True
            assert heard == banner
            assert refused == (says is Says.RESET)
    assert talk.responder_counters()["astray"] == 0


def test_tls_is_as_real_as_its_certificates(talk: Simnet) -> None:
    truth = talk.responder_truth()
    addresses = truth.addresses()
    banners = set(truth.banners(addresses[truth.says(addresses, 80) == Says.TLS], 80))
    assert len(banners) == len(talk.responder_chains)
    for chain in talk.responder_chains:
        assert sum(all(der in banner for der in chain) for banner in banners) >= 1


def test_mute_acknowledges_and_deaf_does_not(talk: Simnet) -> None:
    require(os.geteuid() == 0, "root, to enter a namespace and come back")
    truth = talk.responder_truth()
    addresses = truth.addresses()
    for says in (Says.MUTE, Says.DEAF):
        address = int(addresses[truth.says(addresses, 80) == says][0])
        with talk.inside("near"), socket.socket() as sock:
            sock.settimeout(20.0)
            sock.connect((socket.inet_ntoa(address.to_bytes(4, "big")), 80))
            before = talk.responder_counters()["data"]
            sock.sendall(b"hello")
            assert until(lambda before=before: talk.responder_counters()["data"] > before)  # type: ignore[misc]
            acknowledged = until(lambda: unacknowledged(sock) == 0, 15.0 if says is Says.MUTE else 0.5)
            assert acknowledged == (says is Says.MUTE)


def unacknowledged(sock: socket.socket) -> int:
    """Segments on their way (struct tcp_info, `tcpi_unacked`)."""
    return int(struct.unpack_from("<I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0])


def test_rows_are_as_long_as_what_is_said() -> None:
    assert [row_bytes(size) for size in (0, 400, 500, 1440)] == [512, 512, 1024, 2048]
