"""The lease on the kernel's silence, between real kernels in two namespaces."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from stages.net import confine, firewall_rules, nft, privileges
from stages.net.firewall import FirewallError, Forbidden, Lease, Lost, Missing, NoLease
from tests.require import require
from tests.servers.half_open import Shaker, segment, shaker
from tests.servers.inside import Inside, inside
from tests.servers.talkers import talker
from tests.servers.veth import FAR, NEAR, ROOT, Veth, environment, veth

PORTS = (40000, 40100)
#: What the issue promises: after SIGKILL the rules are gone within so many seconds.
PROMISED = 5.0
DEADLINE = 60.0

#: Counts what the far side gets of the near kernel's resets, from each port by itself.
COUNTER = """
add table ip count
add chain ip count pre { type filter hook prerouting priority 0; policy accept; }
add rule ip count pre tcp flags & rst == rst counter
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    require(shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), "needs nftables")
    with veth() as made:
        made.far("nft", "-f", "-", input=COUNTER)
        made.far("sysctl", "-qw", "net.ipv4.tcp_synack_retries=0")  # one SYN-ACK a SYN: counts are exact
        yield made


@pytest.fixture
def near(pair: Veth) -> Iterator[Inside]:
    with inside(pair.near_pid) as there:
        yield there
    assert gone(pair), leftover(pair)


@pytest.fixture
def server(pair: Veth) -> Iterator[int]:
    """A port of the far side, where a server answers each byte with it."""

    def echo(connection: socket.socket) -> None:
        def answer() -> None:
            with suppress(OSError):
                while data := connection.recv(100):
                    connection.sendall(data)

        threading.Thread(target=answer, daemon=True).start()

    with inside(pair.far_pid) as there, ExitStack() as stack:
        yield there(lambda: stack.enter_context(talker(echo, FAR, backlog=4096)))[1]


@pytest.fixture
def shake(near: Inside) -> Iterator[Shaker]:
    with ExitStack() as stack:
        yield near(lambda: stack.enter_context(shaker("near0", NEAR)))


def tables(pair: Veth) -> list[str]:
    return firewall_rules.tables(pair.near("nft", "-j", "list", "tables", "ip").stdout)


def listing(pair: Veth, table: str) -> str:
    return pair.near("nft", "-j", "list", "table", "ip", table).stdout


def resets(pair: Veth) -> int:
    """RSTs that came to the far side so far."""
    words = pair.far("nft", "list", "table", "ip", "count").stdout.split()
    return int(words[words.index("packets") + 1])


def members(pair: Veth) -> list[int]:
    """Processes in the near namespace, but the one that keeps it."""
    namespace = os.stat(f"/proc/{pair.near_pid}/ns/net").st_ino
    found = []
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdecimal() and os.stat(f"/proc/{entry}/ns/net").st_ino == namespace:
                found.append(int(entry))
    return [pid for pid in found if pid != pair.near_pid]


def leftover(pair: Veth) -> str:
    return f"tables {tables(pair)}, processes {members(pair)}"


def until(condition: Callable[[], bool], seconds: float = DEADLINE) -> bool:
    end = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return met


def lost(lease: Lease) -> Lost | None:
    try:
        lease.renew()
    except Lost as error:
        return error
    return None


def gone(pair: Veth, seconds: float = DEADLINE) -> bool:
    """Neither keeper nor table; asked in this order, for a keeper that starts makes a table."""
    return until(lambda: not members(pair), seconds) and not tables(pair)


def test_the_kernel_is_quiet_towards_the_scan_alone(pair: Veth, near: Inside, shake: Shaker, server: int) -> None:
    before = resets(pair)
    shake.synack(FAR, server, 40000)
    assert until(lambda: resets(pair) == before + 1)  # so does a kernel without a lease
    with near(lambda: Lease.take([NEAR], PORTS)) as lease:
        for port in (40001, 40050, 40100):
            shake.synack(FAR, server, port)  # packet sockets see it
        assert until(lambda: firewall_rules.dropped(listing(pair, lease.table)) >= 3)
        assert resets(pair) == before + 1
        shake.synack(FAR, server, 39999)
        shake.synack(FAR, server, 40101)
        assert until(lambda: resets(pair) == before + 3)
        assert lease.sparing
    assert tables(pair) == []


def test_a_lease_for_user_space_tcp_drops_all_of_tcp(pair: Veth, near: Inside, shake: Shaker, server: int) -> None:
    with near(lambda: Lease.take([NEAR], PORTS, what="tcp")) as lease:
        row = shake.synack(FAR, server, 40007)
        before = resets(pair)
        ours = segment(NEAR, FAR, 40007, server, int(row["ack"]), ack=(int(row["seq"]) + 1) & 0xFFFFFFFF, flags=0x18,
                       payload=b"hello")  # fmt: skip
        shake.send(FAR, ours)
        assert until(lambda: firewall_rules.dropped(listing(pair, lease.table)) >= 3)  # SYN-ACK, ACK, echoed data
        assert resets(pair) == before


@pytest.mark.parametrize("what", ["synack", "tcp"])
def test_not_a_packet_of_another_connection_is_touched(
    pair: Veth, near: Inside, shake: Shaker, server: int, what: firewall_rules.What
) -> None:
    """A session from before, one that begins meanwhile, and one whose port the kernel chose among the scan's."""

    def connect(port: int) -> socket.socket:
        made = socket.socket()
        made.settimeout(DEADLINE)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((NEAR, port))
        made.connect((FAR, server))
        return made

    with ExitStack() as stack:
        sessions = [
            stack.enter_context(near(lambda: connect(0))),
            stack.enter_context(near(lambda: connect(40090 - len(what)))),
        ]
        with near(lambda: Lease.take([NEAR], PORTS, what=what)) as lease:
            sessions.append(stack.enter_context(near(lambda: connect(0))))
            sessions.append(stack.enter_context(near(lambda: connect(40100 - len(what)))))
            synacks = 0
            for number in range(50):
                shake.synack(FAR, server, 40000 + number)
                synacks += 1
                for session in sessions:
                    session.sendall(b"%d" % (number % 10))
                    assert session.recv(100) == b"%d" % (number % 10)
                lease.renew()
            assert firewall_rules.dropped(listing(pair, lease.table)) == synacks
        for session in sessions:
            session.sendall(b"after")
            assert session.recv(100) == b"after"


def test_no_packet_slips_through_while_it_is_renewed(pair: Veth, near: Inside, shake: Shaker, server: int) -> None:
    with near(lambda: Lease.take([NEAR], PORTS)) as lease:
        before = resets(pair)
        ending = threading.Event()

        def flood() -> None:
            number = 0
            while not ending.is_set():
                number += 1
                shake.send(FAR, segment(NEAR, FAR, 40060 + number % 40, server, number))

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            for _ in range(200):
                text = firewall_rules.renewal(lease.table, lease.rule, 60)
                near(lambda text=text: nft.run(nft.program(), "-f", "-", text=text))  # type: ignore[misc]
        finally:
            ending.set()
            thread.join()
        assert firewall_rules.dropped(listing(pair, lease.table)) > 1000
        assert resets(pair) == before


def test_two_leases_each_have_their_own(pair: Veth, near: Inside, shake: Shaker, server: int) -> None:
    first = near(lambda: Lease.take([NEAR], (40000, 40049)))
    second = near(lambda: Lease.take([NEAR], (40050, 40100)))
    try:
        assert sorted(tables(pair)) == sorted([first.table, second.table])
        first.release()
        assert tables(pair) == [second.table]
        before = resets(pair)
        shake.synack(FAR, server, 40051)
        assert firewall_rules.dropped(listing(pair, second.table)) == 1
        assert resets(pair) == before
    finally:
        first.release()
        second.release()


def test_the_consumer_holds_it_too(pair: Veth, near: Inside) -> None:
    lease = near(lambda: Lease.take([NEAR], PORTS))
    consumer = near(lambda: Lease.join(NEAR, 40007))
    assert (consumer.table, consumer.rule, consumer.sparing) == (lease.table, lease.rule, True)
    assert consumer.covers(NEAR, 40100)
    assert not consumer.covers(NEAR, 40101)
    lease.release()
    assert tables(pair) == [consumer.table]
    consumer.renew()
    consumer.release()
    assert tables(pair) == []
    with pytest.raises(NoLease, match=f"{NEAR} port 40007"):
        near(lambda: Lease.join(NEAR, 40007))


@pytest.mark.parametrize(
    ("address", "port", "what"), [(NEAR, 39999, "synack"), ("198.51.100.9", 40007, "synack"), (NEAR, 40007, "tcp")]
)
def test_who_is_not_covered_does_not_join(
    near: Inside, address: str, port: int, what: firewall_rules.What
) -> None:  # fmt: skip
    with near(lambda: Lease.take([NEAR], PORTS)), pytest.raises(NoLease):
        near(lambda: Lease.join(address, port, what=what))


def test_a_lease_of_another_namespace_is_not_found(pair: Veth, near: Inside) -> None:
    with near(lambda: Lease.take([NEAR], PORTS)), inside(pair.far_pid) as far, pytest.raises(NoLease):
        far(lambda: Lease.join(NEAR, 40007))


def test_a_lease_that_nobody_renews_ends(pair: Veth, near: Inside) -> None:
    lease = near(lambda: Lease.take([NEAR], PORTS, expiry=1))
    assert until(lambda: not tables(pair))

    assert until(lambda: lost(lease) is not None)  # by its own account, or as one that has ended
    lease.release()
    with pytest.raises(Lost, match="released"):
        lease.renew()


def test_the_kernel_itself_ends_what_nobody_renews(pair: Veth, near: Inside, shake: Shaker, server: int) -> None:
    """Scanner, consumer and keeper may all be killed: the addresses have a timeout of their own."""
    lease = near(lambda: Lease.take([NEAR], PORTS))
    with lease:
        near(lambda: nft.run(nft.program(), "-f", "-", text=firewall_rules.renewal(lease.table, lease.rule, 1)))
        before = resets(pair)

        ports = itertools.cycle(range(40010, 40050))

        def reset() -> bool:
            shake.send(FAR, segment(NEAR, FAR, next(ports), server, 1))
            return resets(pair) > before

        assert until(reset)


def test_a_killed_keeper_is_noticed_and_cleared_by_the_next(pair: Veth, near: Inside) -> None:
    lease = near(lambda: Lease.take([NEAR], PORTS))
    keeper = int(lease.table.split("_")[1])
    os.kill(keeper, signal.SIGKILL)
    assert until(lambda: keeper not in members(pair))
    assert until(lambda: lost(lease) is not None)  # a process leaves its namespaces before its sockets are closed
    with pytest.raises(Lost, match="keeper has ended") as caught:
        lease.renew()
    assert caught.value.errno == errno.ESTALE
    lease.release()
    assert tables(pair) == [lease.table]
    with near(lambda: Lease.take([NEAR], PORTS)) as again:
        assert tables(pair) == [again.table]


def test_a_table_that_somebody_deleted_is_noticed(pair: Veth, near: Inside) -> None:
    lease = near(lambda: Lease.take([NEAR], PORTS, expiry=2))
    pair.near("nft", "delete", "table", "ip", lease.table)

    assert until(lambda: lost(lease) is not None)
    lease.release()


def test_foreign_tables_with_our_name_are_named_and_left_alone(
    pair: Veth, near: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    rules = (
        "add table ip longline_7_1\n"
        "add chain ip longline_7_1 quiet { type filter hook prerouting priority -310; }\n"
        'add rule ip longline_7_1 quiet tcp dport 9 counter drop comment "longline pid=7"\n'
        "add table ip other\n"
    )
    pair.near("nft", "-f", "-", input=rules)
    before = listing(pair, "longline_7_1")
    try:
        with caplog.at_level(logging.WARNING, "longline.net.firewall"), near(lambda: Lease.take([NEAR], PORTS)):
            assert "table ip longline_7_1 has a name like ours and no mark of ours" in caplog.text
        assert listing(pair, "longline_7_1") == before
        assert "other" in pair.near("nft", "list", "tables").stdout
    finally:
        pair.near("nft", "delete table ip longline_7_1; delete table ip other")


@pytest.mark.parametrize("how", ["drop", "raise", "exit", "forget"])
def test_removed_on_every_exit(pair: Veth, near: Inside, how: str) -> None:
    done = pair.near(
        sys.executable, "-m", "tests.servers.hold_lease", how, NEAR, "40000", "40100", input="\n", check=False
    )
    assert done.stdout.startswith("longline_"), done.stderr
    assert done.returncode == {"raise": 1, "exit": 3}.get(how, 0), done.stderr
    assert gone(pair), leftover(pair)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_removed_after_a_signal_to_the_group(pair: Veth, near: Inside, number: signal.Signals) -> None:
    with _Holder(pair) as process:
        table = _line(process)
        assert tables(pair) == [table]
        os.killpg(process.pid, number)
        process.wait(DEADLINE)
        assert gone(pair), leftover(pair)


def test_the_keeper_outlives_what_its_holders_get(pair: Veth, near: Inside) -> None:
    """A terminal and a supervisor signal everybody; the rule stays while a holder ends its work."""
    with near(lambda: Lease.take([NEAR], PORTS)) as lease:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(int(lease.table.split("_")[1]), number)
        lease.renew()
        assert near(lambda: Lease.join(NEAR, 40000)).release() is None
        assert tables(pair) == [lease.table]


def test_killed_at_random_the_rule_is_gone_and_the_next_start_is_clean(pair: Veth, near: Inside) -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(20):
        with _Holder(pair) as process:
            if chance.random() < 0.5:  # while it holds the lease, otherwise at any moment of its start
                held += bool(_line(process))
            time.sleep(chance.random() * 0.6)
            os.killpg(process.pid, signal.SIGKILL)
            killed = time.monotonic()
            process.wait(DEADLINE)
            assert gone(pair, PROMISED - (time.monotonic() - killed)), leftover(pair)
    assert held >= 5
    with near(lambda: Lease.take([NEAR], PORTS)) as lease:
        assert tables(pair) == [lease.table]


def test_killed_while_the_consumer_lives(pair: Veth, near: Inside) -> None:
    with _Holder(pair) as process:
        table = _line(process)
        with near(lambda: Lease.join(NEAR, 40000)) as consumer:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE)
            consumer.renew()
            assert consumer.table == table
            assert tables(pair) == [table]
        assert tables(pair) == []


def test_a_child_that_inherited_the_socket_holds_nothing(pair: Veth, near: Inside) -> None:
    script = (
        "import os, sys\nfrom stages.net.firewall import Lease\n"
        f"lease = Lease.take([{NEAR!r}], (40000, 40100))\n"
        "if not os.fork():\n    sys.stdin.read()\n    os._exit(0)\n"
        "print(lease.table, flush=True)\nos._exit(0)\n"
    )
    with _Holder(pair, "-c", script) as process:
        assert _line(process)
        assert until(lambda: not tables(pair))


def test_without_the_capability(pair: Veth, near: Inside) -> None:
    def without() -> BaseException:
        privileges.drop()
        with pytest.raises(Forbidden, match="CAP_NET_ADMIN") as caught:
            Lease.take([NEAR], PORTS)
        return caught.value

    with inside(pair.near_pid) as there:
        error = there(without)
    assert isinstance(error, OSError)
    assert error.errno == errno.EPERM


def test_an_ordinary_user_with_the_capability(pair: Veth, near: Inside) -> None:
    """It is handed down to the keeper, and to nft, which it runs."""
    nobody = [
        "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", "-all,+net_admin",
        "--ambient-caps", "+net_admin", "--bounding-set", "-all,+net_admin",
    ]  # fmt: skip
    words = ["env", f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1", *nobody]
    newest = [sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"]
    again = "import sys, stages.net.firewall; sys.exit(sys.version_info < (3, 11))"
    fit = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {again!r}]))"
    python = next((path for path in newest if pair.near(*words, path, "-c", fit, check=False).returncode == 0), None)
    if python is None:
        pytest.skip("no Python 3.11 and no source tree that an ordinary user may read")
    script = (
        "import os, subprocess\nfrom stages.net.firewall import Lease\n"
        f"with Lease.take([{NEAR!r}], (40000, 40100)) as lease:\n"
        "    pid = lease.table.split('_')[1]\n"
        "    with Lease.join('198.51.100.2', 40007) as joined:\n"
        "        joined.renew()\n"
        "    print(os.stat(f'/proc/{pid}').st_uid, [line for line in open(f'/proc/{pid}/status') if 'CapP' in line])\n"
    )
    done = pair.near(*words, python, "-c", script)
    assert done.stdout == "65534 ['CapPrm:\\t0000000000001000\\n']\n"
    assert tables(pair) == []


def test_as_many_addresses_as_there_may_be(pair: Veth, near: Inside) -> None:
    addresses = [f"10.8.{number >> 8}.{number & 255}" for number in range(firewall_rules.MAX_ADDRESSES)]
    with near(lambda: Lease.take(addresses, PORTS, expiry=2)) as lease:
        assert near(lambda: Lease.join(addresses[-1], 40000)).release() is None
        since = time.monotonic()
        while time.monotonic() - since < 3:  # beyond the time that it was taken for
            lease.renew()
            time.sleep(0.05)
        assert tables(pair) == [lease.table]


def test_without_nft(near: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        patch.setattr(nft, "SYSTEM_PATH", ())
        with pytest.raises(Missing, match="not installed"):
            near(lambda: Lease.take([NEAR], PORTS))


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("echo 'Error: Operation not permitted' >&2; exit 1", Forbidden, "CAP_NET_ADMIN"),
        ("echo 'Unable to initialize Netlink socket: Protocol not supported' >&2; exit 1", Missing, "nf_tables"),
        ("echo 'Error: syntax error' >&2; exit 1", FirewallError, "syntax error"),
        ("echo '{\"nftables\": []}'", FirewallError, "did not set up what it was told"),
    ],
)
def test_an_nft_that_fails_or_lies(
    near: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kind: type[OSError], message: str
) -> None:
    program = tmp_path / "nft"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(kind, match=message) as caught:
            near(lambda: Lease.take([NEAR], PORTS))
    assert type(caught.value) is kind


def test_a_kernel_that_cannot_spare_sockets(
    pair: Veth, near: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nft"
    real = shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    program.write_text(
        f"#!/bin/sh\n[ \"$1\" = -f ] || exec {real} \"$@\"\ntext=$(cat)\n"
        "case \"$text\" in *socket*) echo 'Error: No such file or directory' >&2; exit 1;; esac\n"
        f"echo \"$text\" | {real} \"$@\"\n"
    )  # fmt: skip
    program.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        lease = near(lambda: Lease.take([NEAR], PORTS))
    with lease:
        assert not lease.sparing
        assert "socket" not in listing(pair, lease.table)
        assert firewall_rules.dropped(listing(pair, lease.table)) == 0


def test_confined_to_the_simulated(tmp_path: Path) -> None:
    """In the machine's own namespace nothing is ever set up by a test."""
    if confine.marked():
        pytest.skip("these tests themselves run inside")
    with pytest.raises(confine.ConfinedError, match="packet filter"):
        Lease.take([NEAR], PORTS)


@pytest.mark.parametrize(("addresses", "ports"), [([], PORTS), (["x"], PORTS), ([NEAR], (0, 1)), ([NEAR], (2, 1))])
def test_what_cannot_be_asked_for(addresses: list[str], ports: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"addresses|ports|'x'"):
        Lease.take(addresses, ports)


class _Holder:
    """hold_lease inside, in a process group of its own."""

    def __init__(self, pair: Veth, *argv: str) -> None:
        words = argv or ("-m", "tests.servers.hold_lease", "drop", NEAR, "40000", "40100")
        self.process = subprocess.Popen(
            pair.argv(pair.near_pid, [sys.executable, *words]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=ROOT, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> subprocess.Popen[str]:
        return self.process

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
