"""`Simnet` as its users have it: as root, as an ordinary user, and over loopback."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.net import confine
from stages.simnet.compare import Found, compare
from stages.simnet.expectation import Expected
from stages.simnet.network import NamespacesClosed, Simnet, SimnetError, _environment, shell
from stages.simnet.processes import standing_in
from stages.simnet.realservers import find
from stages.simnet.spec import Spec
from stages.simnet.truth import Kind, Shares
from stages.simnet.wiring import FAR_MAC
from tests.require import require

ROOT = Path(__file__).parents[2]
STAY = 1.5
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def grab(e: Expected) -> Found:
    """A small, slow grabber: a banner, or a TLS handshake on ports where the truth has those."""
    try:
        with socket.create_connection((e.ip, e.port), timeout=10) as sock:
            return tls(e, sock) if e.data is None else banner(e, sock)
    except ConnectionResetError:
        return Found(e.ip, e.port, "reset", b"" if e.data is not None else None, () if e.data is None else None)


def banner(e: Expected, sock: socket.socket) -> Found:
    data = b""
    if e.kind is Kind.HTTP:
        sock.sendall(REQUEST)
    sock.settimeout(STAY)
    try:
        while len(data) < 65536 and (got := sock.recv(65536 - len(data))):
            data += got
    except TimeoutError:
        return Found(e.ip, e.port, "ok" if data else "silent", data)
    except ConnectionResetError:
        return Found(e.ip, e.port, "reset", data)
    return Found(e.ip, e.port, "ok" if data else "empty", data)


def shaken(context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLObject:
    """A handshake through memory: an SSLSocket of Python 3.11.2 whose peer has sent a RST already is never closed."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="www.simnet.example")
    while True:
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            if data := sock.recv(65536):
                incoming.write(data)
            else:
                incoming.write_eof()
        else:
            sock.sendall(outgoing.read())
            return session


def tls(e: Expected, sock: socket.socket) -> Found:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock.settimeout(STAY)
    try:
        session = shaken(context, sock)
        der = session.getpeercert(binary_form=True)
        assert der is not None
        assert e.chain is not None
        leaf = hashlib.sha256(der).hexdigest()
        return Found(e.ip, e.port, "ok", chain=(leaf, *e.chain[1:]), version=session.version())
    except TimeoutError:
        return Found(e.ip, e.port, "silent", chain=())
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):  # a FIN, as 3.11.7 and Debian's 3.11.2 tell it
        return Found(e.ip, e.port, "empty", chain=())
    except (ConnectionResetError, BrokenPipeError):
        return Found(e.ip, e.port, "reset", chain=())
    except ssl.SSLError:
        return Found(e.ip, e.port, "protocol", chain=())


def one_of_each(net: Simnet) -> list[Expected]:
    """Each kind on each role of a port; not what the standard library cannot show."""
    some = {(e.kind, e.port): e for e in net.expected() if e.kind is not Kind.TLS_UNPARSABLE}
    return list(some.values())


def grab_all(services: list[Expected]) -> list[Found]:
    """Side by side: most of them wait for a timeout."""
    found: list[Found] = []
    threads = [threading.Thread(target=lambda e=e: found.append(grab(e))) for e in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_every_behaviour_is_as_the_truth_says(simnet_root: Simnet) -> None:
    services = one_of_each(simnet_root)
    assert {e.kind for e in services} == {k for k in Kind if k.open} - {Kind.TLS_UNPARSABLE}
    with simnet_root.inside("near"):  # threads inherit the namespace
        found = grab_all(services)
    difference = compare(services, found)
    assert not difference, difference.lines(100)
    assert difference.right == len(services)


def test_over_loopback() -> None:
    with Simnet(Spec(seed=11).on_loopback()) as net:
        services = one_of_each(net)
        assert {e.kind for e in services} == {k for k in Kind if k.open} - {Kind.TLS_UNPARSABLE}
        difference = compare(services, grab_all(services))
        assert not difference, difference.lines(100)
        out, _ = net.run(["sh", "-c", "echo $LONGLINE_CONFINE"], stdout=subprocess.PIPE, text=True).communicate()
        assert out == "1\n"
        net.enter()  # there is nowhere to go
        stay = net.run(["sleep", "600"])
        closed = next(a for a in net.truth.addresses().tolist() if net.truth.state(a, 8080) is Kind.CLOSED)
        with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
            sock.connect((socket.inet_ntoa(closed.to_bytes(4, "big")), 8080))
    assert stay.returncode == -9


ORDINARY = """
import os, subprocess, sys
from stages.simnet.network import *
from stages.simnet.truth import Kind
assert os.getuid() == 65534
spec = Spec(targets=("10.0.0.0/24",), ports=(22,), shares=Shares(open=0.5, filtered=0.1, rejected=0.1))
code = '''
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)  # what a scanner needs
for ip in sys.argv[1:]:
    with socket.create_connection((ip, 22), timeout=5) as s: print(s.recv(100))
with socket.socket() as s: print(s.connect_ex(("10.0.1.0", 22)))
'''
with Simnet(spec) as net:
    some = [e for e in net.expected() if e.kind is Kind.SSH][:3]
    program = net.run([sys.executable, "-c", code, *(e.ip for e in some)], stdout=subprocess.PIPE, text=True)
    out, _ = program.communicate()
    assert out.splitlines() == [*(repr(e.data) for e in some), "111"], out
    pids = [net.near_pid, net.far_pid]
assert not any(os.path.exists(f"/proc/{pid}") for pid in pids[:1])
print("as the truth says")
"""


def test_as_an_ordinary_user(as_nobody: Callable[[list[str]], list[str]]) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom stages.simnet.truth import Shares\n{ORDINARY}"
    done = subprocess.run(
        as_nobody([sys.executable, "-c", code]), capture_output=True, text=True, check=False, timeout=100
    )
    assert (done.stdout, done.returncode) == ("as the truth says\n", 0), done.stderr


CLOSED = """
import os
from pathlib import Path
from stages.simnet import namespaces
namespaces.new_network()
Path("/proc/sys/user/max_net_namespaces").write_text("0")
Path("/proc/sys/user/max_user_namespaces").write_text("0")
from stages.simnet.network import *
try: Simnet(Spec()).start()
except NamespacesClosed as error: print("closed:", error)
with Simnet(Spec(targets=("10.0.0.0/24",)).on_loopback()) as net: print(net.alive)
"""


def test_where_namespaces_are_closed(as_nobody: Callable[[list[str]], list[str]]) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{CLOSED.replace('new_network()', 'become_root()')}"
    done = subprocess.run(
        as_nobody([sys.executable, "-c", code]), capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    said, alive = done.stdout.splitlines()
    assert said.startswith("closed:")
    assert alive == "True"


def test_zmap_finds_exactly_the_truth() -> None:
    """An independent witness: what ZMap counts as open is what the truth says."""
    require(os.geteuid() == 0 and find("zmap"), "root and zmap")
    spec = Spec(seed=13, targets=("10.0.0.0/20",), ports=(443,))
    words = ["zmap", "-p", "443", "-r", "20000", "-i", "near0", "-b", "/dev/null", "-c", "1", "-q", "--disable-syslog"]
    words += ["-o", "-", "10.0.0.0/20", "-G"]
    with Simnet(spec) as net:
        program = net.run([*words, FAR_MAC], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = [Found(line, 443) for line in program.communicate()[0].split() if line[0].isdigit()]
        difference = compare(net.expected(), found, details=False)
    assert not difference, difference.lines()
    assert difference.right > 100


def test_close_does_not_wait_for_a_warden_that_was_killed() -> None:
    net = Simnet(Spec(servers=False, rules=False)).start()
    program = net.run(["sleep", "600"])
    os.kill(net.near_pid, 9)
    net.close()
    assert program.returncode == -9


def test_programs_run_in_their_namespaces_and_are_confined(simnet_small: Simnet) -> None:
    ids = {os.stat("/proc/self/ns/net").st_ino}
    for start in (simnet_small.run, simnet_small.far_run):
        program = start(
            ["sh", "-c", "stat -L -c %i /proc/self/ns/net; echo $LONGLINE_CONFINE $MINE"],
            stdout=subprocess.PIPE,
            text=True,
            env={"MINE": "yes", "PATH": "/usr/bin:/bin"},
        )
        first, second = program.communicate()[0].splitlines()
        ids.add(int(first))
        assert second == "1 yes"
    assert len(ids) == 3


def test_a_program_that_is_missing_is_said(simnet_small: Simnet) -> None:
    with pytest.raises(FileNotFoundError):
        simnet_small.run(["/nonexistent"])
    assert simnet_small.alive


def test_inside_comes_back_also_after_an_error(simnet_root: Simnet) -> None:
    home = os.stat("/proc/thread-self/ns/net").st_ino

    def fail() -> None:
        assert os.stat("/proc/thread-self/ns/net").st_ino != home
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), simnet_root.inside():
        fail()
    assert os.stat("/proc/thread-self/ns/net").st_ino == home
    assert not confine.marked()


def test_life_and_death() -> None:
    require(os.geteuid() == 0, "root, to see who stands in a namespace")
    net = Simnet(Spec(servers=False, rules=False))
    assert not net.alive
    with pytest.raises(SimnetError, match="not running"):
        net.run(["true"])
    with net:
        assert net.alive
        with pytest.raises(SimnetError, match="already"):
            net.start()
        network = os.stat(f"/proc/{net.near_pid}/ns/net").st_ino
        program = net.run(["sleep", "600"])
    assert not net.alive
    assert program.returncode == -9
    assert standing_in({network}) == []
    net.close()
    with net:  # and once more
        assert net.alive


@pytest.mark.parametrize(
    ("argv", "status"), [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill $$"], 143)]
)
def test_shell(simnet_small: Simnet, argv: list[str], status: int) -> None:
    assert shell(simnet_small, argv) == status


def test_hold_returns_when_it_ends() -> None:
    with Simnet(Spec(servers=False, rules=False)) as net:
        threading.Timer(0.1, os.kill, (net.far_pid, 9)).start()
        net.hold()
        assert not net.alive


def test_an_interpreter_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SimnetError, match="ended while it was built"):
        Simnet(Spec()).start()


def test_the_environment() -> None:
    made = _environment({"PATH": "/bin:/sbin", "A": "b"})
    assert made == {"PATH": "/bin:/sbin:/usr/local/sbin:/usr/sbin", "A": "b", confine.VARIABLE: "1"}


def test_closed_is_an_error_of_the_network() -> None:
    assert issubclass(NamespacesClosed, SimnetError)
    assert issubclass(SimnetError, OSError)


def test_shares_of_a_spec_are_its_truths() -> None:
    assert Simnet(Spec(shares=Shares(open=0.5))).truth.shares.open == 0.5
