"""SSH."""

from __future__ import annotations

import pytest

from stages.proto.recognise.ssh import recognise
from tests.proto.recognise.tables import is_known, is_refused

KNOWN = [
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    b"SSH-1.99-Cisco-1.25\n",
    b"SSH-2.0-dropbear_2022.83\r\n",
]
REFUSED = [
    b"SSH 2.0",
    b"ssh-2.0-x",
    b"SSH-x.0",
    b"\nSSH-2.0-x",
]


@pytest.mark.parametrize("data", KNOWN)
def test_known_in_every_prefix(data: bytes) -> None:
    is_known(recognise, data)


@pytest.mark.parametrize("data", REFUSED)
def test_near_misses(data: bytes) -> None:
    is_refused(recognise, data)
