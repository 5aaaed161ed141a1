from __future__ import annotations

import errno
import json
import os
import socket
import sys

import numpy as np
import pytest

from stages.net import packetsocket
from tests.require import require
from tests.servers.veth import veth

_SEND = """
import json
import numpy as np
from stages.net.packetsocket import FrameSender
frames = np.zeros((300, 128), np.uint8)
frames[:, :6], frames[:, 12:14] = 255, (0x88, 0xB5)
frames[:, 14:18] = np.arange(300, dtype='>u4').view(np.uint8).reshape(-1, 4)
sender = FrameSender("near0", Frames(frames[None], 60))
told = [sender.send(0, 300), sender.send(299, 1)]
too_long = FrameSender('near0', np.zeros((3, 4096), np.uint8), 4000)
told.append(too_long.send(0, 3))
sender.close()
too_long.close()
print(json.dumps(told))
"""

_RECEIVE = """
import json, socket
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(('far0', 0x88B5))
    sock.settimeout(20)
    print('ready', flush=True)
    got = [sock.recv(200) for _ in range(301)]
print(json.dumps([[len(frame), int.from_bytes(frame[14:18], 'big')] for frame in got]))
"""


def test_every_row_arrives_once_and_in_order() -> None:
    with veth() as pair, pair.program(pair.far_pid, sys.executable, "-c", _RECEIVE, ready="ready") as far:
        told = json.loads(pair.near(sys.executable, "-c", _SEND).stdout)
        assert far.stdout is not None
        got = json.loads(far.stdout.readline())
    assert told == [[300, 0], [1, 0], [0, errno.EMSGSIZE]]
    assert got == [[60, i] for i in [*range(300), 299]]


@pytest.mark.parametrize(("shape", "length"), [((2, 64), 65), ((2, 64), 0), ((1025, 64), 60)])
def test_what_does_not_fit(shape: tuple[int, int], length: int) -> None:
    with pytest.raises(ValueError, match="frames of"):
        packetsocket.FrameSender("lo", np.zeros(shape, np.uint8), length)


def test_no_such_interface() -> None:
    require(os.geteuid() == 0, "packet sockets need root")
    with pytest.raises(OSError, match="No such device"):
        packetsocket.FrameSender("no-such-one", np.zeros((1, 64), np.uint8), 60)


def test_no_capability_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(packetsocket.NoRawAccess, match="CAP_NET_RAW"):
        packetsocket.packet_socket()


@pytest.mark.parametrize(("number", "says"), [
    (errno.ENETDOWN, "eth9 is down"), (errno.ENXIO, "eth9 has gone"), (errno.EMSGSIZE, "Message too long"),
])  # fmt: skip
def test_errors_have_a_text(number: int, says: str) -> None:
    error = packetsocket.interface_error(number, "eth9")
    assert error.errno == number
    assert says in str(error)
