"""What goes wrong around the program: no broker, no database, no permission, no interface, no disk, no descriptors.

(What is wrong in what a user types is in `tests/cli`.) Each ends or goes on with a clear line, never a traceback.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from stages.simnet.compare import compare
from stages.simnet.network import Simnet
from stages.simnet.spec import Spec
from stages.simnet.wiring import NEAR_LINK
from tests.integration import plans
from tests.integration.conftest import build
from tests.integration.stored import assert_true, behind, found
from tests.integration.test_pipes import banner
from tests.integration.topics import Log
from tests.integration.workers import LONGLINE, Crew, Worker, until
from tests.require import require
from tests.servers.proxy import Proxy

#: Nobody listens there.
NOBODY = "127.0.0.1:1"


def said(net: Simnet, folder: Path, *argv: str) -> tuple[int, str]:
    """Run a command to its end; (exit code, what it said)."""
    with (folder / "said").open("wb") as file:
        code = net.run(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder).wait(60)
    return code, (folder / "said").read_text()


# --- lists


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("scan", "-p", "80", "-b", "bad", "10.0.0.1"), "bad:2: '10.0.0.0/33': a prefix length"),
        (("bannergrab", "-b", "bad"), "bad:2: '10.0.0.0/33': a prefix length"),
        (("scan", "-p", "80", "-w", "empty"), "'empty': the allowlist is empty"),
        (("scan", "-p", "80", "-b", "everything", "10.0.0.0/24"), "nothing is left to scan: of 256 addresses 256"),
        (("scan", "-p", "80", "-w", "missing"), "'missing': No such file"),
        (("scan", "-p", "80", "--no-lift", "10.0.0.0/24"), "nothing is left to scan"),
        (("bannergrab", "-p", "0"), "-p/--port: '0'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_lists_that_leave_nothing_to_do(town: Simnet, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    (tmp_path / "bad").write_text("10.0.0.0/30\n10.0.0.0/33  # no such network\n")
    (tmp_path / "empty").write_text("# nobody\n")
    (tmp_path / "everything").write_text("0.0.0.0/0\n")
    code, text = said(town, tmp_path, LONGLINE, *words)
    assert code == 2
    assert told in text
    assert len(text.splitlines()) == 1, text


def test_port_zero_can_be_scanned(town: Simnet, tmp_path: Path) -> None:
    code, text = said(town, tmp_path, LONGLINE, "scan", "-p", "0", "-c", "0", "-o", "-", "10.0.0.0/28")
    assert code == 0, text


# --- no broker, no database


@pytest.mark.parametrize("stage", ["scan", "bannergrab", "tlsgrab", "sink"])
def test_a_broker_that_is_not_there(town: Simnet, crew: Crew, tmp_path: Path, stage: str) -> None:
    """It says so, goes on trying, is alive and not ready, and a signal ends it."""
    words = {"scan": ("10.0.0.0/24", "-p", "80"), "sink": ("--store", f"sqlite:{tmp_path}/town.db")}.get(stage, ())
    worker = crew.hire(Worker(town, tmp_path, stage, *words, "--bus", f"kafka://{NOBODY}"))
    worker.start()
    until(lambda: worker.text.count(f"Kafka at {NOBODY}") > 1, "it says so, and tries again")
    assert worker.healthy
    assert not worker.ready
    assert worker.stop(seconds=20) == 143, worker.tail()
    assert "Traceback" not in worker.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("scan", "-p", "80", "10.0.0.0/33"), "'10.0.0.0/33': a prefix length"),
        (("scan", "-p", "80", "-b", "none", "10.0.0.0/24"), "'none': No such file"),
        (("bannergrab", "-b", "none"), "'none': No such file"),
        (("bannergrab", "-d", "none"), "'none': No such file"),
        (("tlsgrab", "-w", "none"), "'none': No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_arguments_are_said_before_a_broker_is_waited_for(
    town: Simnet, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    code, text = said(town, tmp_path, LONGLINE, *words, "--bus", f"kafka://{NOBODY}")
    assert code == 2
    assert told in text
    assert len(text.splitlines()) == 1, text


def test_a_broker_that_comes_later(town: Simnet, log: Log, crew: Crew, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with town.inside():
            proxy = stack.enter_context(Proxy("127.0.0.1", log.server.port))
        proxy.cut()
        url = f"kafka://127.0.0.1:{proxy.port}"
        grab = crew.hire(Worker(town, tmp_path, "bannergrab", "--bus", url, "--topic-prefix", log.prefix))
        grab.start()
        until(lambda: "trying again" in grab.text, "it says so")
        assert not grab.ready
        proxy.mend()
        until(lambda: grab.ready, "it is ready")
        assert grab.stop() == 143


def test_a_database_that_is_not_there(town: Simnet, log: Log, crew: Crew, tmp_path: Path) -> None:
    sink = crew.hire(Worker(town, tmp_path, "sink", "--store", f"mongodb://{NOBODY}/x", *log.words))
    sink.start()
    until(lambda: "is out of reach, records wait" in sink.text, "it says so")
    assert sink.healthy
    assert not sink.ready
    assert sink.stop(seconds=45) == 143, sink.tail()
    assert "Traceback" not in sink.text


@pytest.mark.parametrize(
    "words", [("query", "services"), ("export", "services"), ("sink", "--init")], ids=lambda words: words[0]
)
def test_reading_a_database_that_is_not_there(town: Simnet, tmp_path: Path, words: tuple[str, ...]) -> None:
    code, text = said(town, tmp_path, LONGLINE, *words, "--store", f"mongodb://{NOBODY}/x")
    assert code == 1
    assert NOBODY in text
    assert len(text.splitlines()) == 1, text


# --- no permission, no interface


def test_packets_without_permission(town: Simnet, tmp_path: Path, as_nobody: Callable[[list[str]], list[str]]) -> None:
    code, text = said(town, tmp_path, *as_nobody([LONGLINE, "scan", "--engine", "packet", "-p", "80", "10.0.0.0/24"]))
    assert code == 1
    assert "CAP_NET_RAW" in text
    assert "--engine connect" in text
    assert "Traceback" not in text


def test_without_permission_and_without_a_wish_it_connects(
    town: Simnet, tmp_path: Path, as_nobody: Callable[[list[str]], list[str]]
) -> None:
    words = ["scan", "-p", "80", "-o", "-", "--connect-timeout", "2", "10.0.0.0/24"]
    code, text = said(town, tmp_path, *as_nobody([LONGLINE, *words]))
    assert code == 0, text
    assert "ordinary connections" in text
    assert "CAP_NET_RAW" in text
    open_there = {e.ip for e in town.expected() if e.port == 80 and e.ip.startswith("10.0.0.")}
    assert open_there <= set(text.split())


def test_a_store_in_a_folder_that_is_closed(
    town: Simnet, tmp_path: Path, as_nobody: Callable[[list[str]], list[str]]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    store = f"sqlite:{closed}/town.db"
    code, text = said(town, tmp_path, *as_nobody([LONGLINE, *plans.run(town, store, rate=1), "--engine", "connect"]))
    assert code in (1, 2)
    assert str(closed) in text
    assert "ermission denied" in text
    assert len(text.splitlines()) == 1, text


@pytest.fixture
def wires() -> Iterator[Simnet]:
    with build(Spec(rules=False, servers=False)) as net:
        yield net


def link(net: Simnet, state: str) -> None:
    assert net.run(["ip", "link", "set", NEAR_LINK, state]).wait() == 0


@pytest.mark.parametrize("engine", ["packet", "connect"])
def test_an_interface_that_is_down(wires: Simnet, tmp_path: Path, engine: str) -> None:
    link(wires, "down")
    interface = ("-i", NEAR_LINK) if engine == "packet" else ()
    words = ("scan", "--engine", engine, "-p", "80", "-c", "1", *interface, "10.0.0.0/24")
    code, text = said(wires, tmp_path, LONGLINE, *words)
    assert code == (2 if engine == "packet" else 1), text
    assert "down" in text or "unreachable" in text
    assert "Traceback" not in text


def test_an_interface_that_goes_down(wires: Simnet, crew: Crew, tmp_path: Path) -> None:
    """The scan ends with the reason; its checkpoint lets it go on."""
    words = ["scan", "--engine", "packet", "-p", "80", "-r", "200", "-c", "1", "10.0.0.0/21"]
    scan = crew.hire(Worker(wires, tmp_path, *words))
    scan.start("--checkpoint", tmp_path / "checkpoint")
    until(lambda: scan.metric("longline_scanner_probes_sent_total") > 20, "it sends")
    link(wires, "down")
    assert scan.wait() == 1, scan.tail()
    assert f"{NEAR_LINK} is down" in scan.text
    assert "Traceback" not in scan.text
    assert (tmp_path / "checkpoint").exists()


# --- no disk, no descriptors


FULL = """
set -e
mount -t tmpfs -o size=1m tmpfs "$1"
cd "$1"
shift
set +e
"$@"
echo "first $?"
mount -o remount,size=500m tmpfs "$PWD"
"$@"
echo "second $?"
cp town.db* "$OUT"
"""


@pytest.mark.slow
def test_a_full_disk(town: Simnet, tmp_path: Path) -> None:
    """It stops and says why; with room again the same command goes on, and nothing is lost."""
    place, out = tmp_path / "small", tmp_path / "out"
    place.mkdir()
    out.mkdir()
    run = [LONGLINE, *plans.run(town, "sqlite:town.db", rate=5_000)]
    script = FULL.replace("$OUT", str(out))
    code, text = said(town, tmp_path, "unshare", "--mount", "bash", "-c", script, "bash", str(place), *run)
    assert code == 0, text
    assert "first 1\n" in text, text
    assert "second 0\n" in text, text
    assert "disk" in text
    assert "Traceback" not in text
    assert_true(town, f"sqlite:{out}/town.db")


@pytest.mark.slow
def test_a_file_that_may_not_grow(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    """RLIMIT_FSIZE, as `ulimit -f` sets it: the sink cannot write, says so and stops; without the limit it goes on."""
    file = tmp_path / "town.db"
    words = plans.run(town, f"sqlite:{file}", rate=5_000)
    limited = Worker(town, tmp_path, *words, name="limited", wrap=lambda argv: ["prlimit", "--fsize=500000", *argv])
    assert crew.hire(limited).start().wait() == 1, limited.tail()
    assert "Traceback" not in limited.text
    assert "town.db" in limited.text
    run = crew.hire(Worker(town, tmp_path, *words))
    assert run.start().wait() == 0, run.tail()
    assert_true(town, f"sqlite:{file}")
    assert not behind(file)


@pytest.mark.slow
def test_sixty_four_descriptors(town: Simnet, tmp_path: Path) -> None:
    """Concurrency is what fits, and that is said; no answer is made up for what our own limit kept from being asked."""
    wanted = [e for e in town.expected() if e.port == 80][:120]
    (tmp_path / "targets").write_text("".join(f"{e.ip}\n" for e in wanted))
    argv = ["prlimit", "--nofile=64:64", LONGLINE, "bannergrab", "-p", "80", "-c", "500", *plans.BANNERS]
    with (
        (tmp_path / "targets").open("rb") as targets,
        (tmp_path / "out").open("wb") as out,
        (tmp_path / "said").open("wb") as err,
    ):
        code = town.run(argv, stdin=targets, stdout=out, stderr=err, cwd=tmp_path).wait(90)
    text = (tmp_path / "said").read_text()
    assert code == 0, text
    difference = compare(wanted, [banner(line) for line in (tmp_path / "out").read_bytes().splitlines()])
    assert not difference, difference.lines()
    assert "500" in text, "the concurrency that does not fit is said"


@pytest.mark.slow
def test_run_with_sixty_four_descriptors(town: Simnet, crew: Crew, tmp_path: Path) -> None:
    """Scanner, grabs and sink share what there is."""
    store = f"sqlite:{tmp_path}/town.db"
    words = [word if word not in town.spec.targets else "10.0.4.0/23" for word in plans.run(town, store, rate=5_000)]
    run = crew.hire(Worker(town, tmp_path, *words, wrap=lambda argv: ["prlimit", "--nofile=64:64", *argv]))
    assert run.start().wait() == 0, run.tail()
    part = [e for e in town.expected() if e.ip.split(".")[2] in ("4", "5")]
    difference = compare(part, found(town, store))
    assert not difference, difference.lines()


#: A namespace of its own with twenty source ports, and one server that answers late.
FEW_PORTS = """
import socket, subprocess, sys, threading, time
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as range_:
    range_.write("40000 40019")

def talk(connection):
    with connection:
        time.sleep(0.3)
        connection.sendall(b"late\\n")

def serve(server):
    while True:
        threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()

threading.Thread(target=serve, args=(socket.create_server(("127.0.0.1", 8099), backlog=200),), daemon=True).start()
sys.exit(subprocess.run(sys.argv[1:], stdin=sys.stdin).returncode)
"""


def test_more_connections_than_source_ports(tmp_path: Path) -> None:
    """Port exhaustion lowers the concurrency and is tried again; it is never told as something about the target."""
    require(os.geteuid() == 0 and shutil.which("unshare"), "root and unshare, for a namespace")
    wrap = ["unshare", "--net", sys.executable, "-c", FEW_PORTS]
    words = ["bannergrab", "-c", "60", "--per-host", "60", "--per-prefix", "0", "--idle-timeout", "0.2"]
    argv, lines = [*wrap, LONGLINE, *words], "127.0.0.1:8099\n" * 60
    done = subprocess.run(argv, input=lines, capture_output=True, text=True, cwd=tmp_path, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert "this host is at its limit, at most 30 at once now: connect: Cannot assign" in done.stderr
    assert Counter(orjson.loads(line)["outcome"] for line in done.stdout.splitlines()) == {"ok": 60}
