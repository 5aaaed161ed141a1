"""The guard: tried, not mocked; the namespaces are real ones."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from stages.net import confine
from stages.simnet.network import NamespacesClosed, Simnet
from stages.simnet.spec import Spec
from tests.require import require

OUTSIDE = ["10.0.0.1", "8.8.8.8", "0.0.0.0", "128.0.0.1", "126.255.255.255", "::", "::2", "fe80::1%lo", "2001:db8::1"]
NAMES = ["localhost", "127.example.org", "127.0.0.1.example.org", "127.1", "127.0.0.256", "", "1", "::1.example.org"]
LOOPBACK = ["127.0.0.1", "127.255.255.255", "127.77.3.2", "::1", "::ffff:127.0.0.1", "::1%lo"]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What other tests made the module remember is forgotten, and what these do too."""
    confine.forget()
    yield
    confine.forget()


@pytest.fixture
def confined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(confine.VARIABLE, "1")


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_may_be_dialled(host: str, confined: None) -> None:
    assert confine.is_loopback(host)
    confine.check_address(host)


@pytest.mark.parametrize("host", OUTSIDE + NAMES)
def test_anything_else_is_refused(host: str, confined: None) -> None:
    assert not confine.is_loopback(host)
    with pytest.raises(confine.ConfinedError, match=confine.VARIABLE) as caught:
        confine.check_address(host)
    assert caught.value.errno == errno.EPERM
    assert caught.value.what == host


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("yes", True), ("0", False), ("", False), (None, False)])
def test_the_variable(value: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv(confine.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(confine.VARIABLE, value)
    assert confine.confined() is expected
    if not expected:
        confine.check_address("192.0.2.1")
        confine.check_packets("eth0")


def test_the_environment_is_read_once_until_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(confine.VARIABLE, "1")
    assert confine.confined()
    monkeypatch.delenv(confine.VARIABLE)
    assert confine.confined()
    confine.forget()
    assert not confine.confined()


def test_frames_leave_by_loopback_only(confined: None) -> None:
    confine.check_packets("lo")
    with pytest.raises(confine.ConfinedError, match="interface eth0"):
        confine.check_packets("eth0")


@pytest.fixture(scope="module")
def wires() -> Iterator[Simnet]:
    require(os.geteuid() == 0, "root, to enter a namespace and come back")
    net = Simnet(Spec(rules=False, servers=False))
    try:
        net.start()
    except NamespacesClosed as error:
        require(False, str(error))
    with net:
        yield net


def test_a_marked_namespace_is_free(wires: Simnet, confined: None) -> None:
    with wires.inside("near"):
        assert confine.marked()
        confine.check_address("10.0.0.1")
        confine.check_packets("near0")
    with wires.inside("far"):
        confine.check_packets("far0")
    assert not confine.marked()
    with pytest.raises(confine.ConfinedError):
        confine.check_address("10.0.0.1")


def test_the_namespace_is_the_threads_own(wires: Simnet, confined: None) -> None:
    found: list[bool] = []
    with wires.inside("near"):
        assert confine.marked()
        other = threading.Thread(target=lambda: found.append(confine.marked()))  # inherits the namespace of its maker
        other.start()
        other.join()
    outside = threading.Thread(target=lambda: found.append(confine.marked()))
    outside.start()
    outside.join()
    assert found == [True, False]


def test_a_namespace_of_somebody_else_is_not_free(wires: Simnet) -> None:
    code = (
        "from stages.simnet import namespaces; from stages.net import confine\n"
        "namespaces.new_network(); confine.forget()\n"
        "try: confine.check_address('10.0.0.1')\n"
        "except confine.ConfinedError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, confine.VARIABLE: "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "refused\n"


def test_a_marker_in_the_machines_own_namespace_is_not_believed(
    confined: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Process 1 may be hidden here, also from root: another file of this very namespace stands for its own."""
    same = os.path.samefile
    monkeypatch.setattr(os.path, "samefile", lambda _, mine: same("/proc/self/ns/net", mine))
    monkeypatch.setattr(confine, "_MACHINES_PROCESSES", os.stat("/proc/self/ns/pid").st_ino)
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, confine.MARKER)])
    assert not confine.marked()
    with pytest.raises(confine.ConfinedError):
        confine.check_address("10.0.0.1")


def test_process_1_of_a_container_tells_nothing(confined: None, monkeypatch: pytest.MonkeyPatch) -> None:
    same = os.path.samefile
    monkeypatch.setattr(os.path, "samefile", lambda _, mine: same("/proc/self/ns/net", mine))
    monkeypatch.setattr(confine, "_MACHINES_PROCESSES", 1)
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, confine.MARKER)])
    assert confine.marked()


def test_where_process_1_cannot_be_seen_the_marker_counts(confined: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(*_: object) -> bool:
        raise PermissionError(errno.EACCES, "hidden")

    monkeypatch.setattr(os.path, "samefile", hidden)
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, confine.MARKER)])
    assert confine.marked()


def test_the_marker_fits_a_link_name() -> None:
    assert len(confine.MARKER.encode()) <= 15
