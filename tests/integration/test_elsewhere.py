"""A system that is not Linux, as far as Linux can play it: no epoll, netlink, AF_PACKET, error queue or compiler.

(The scanner alone is in `tests/scanner/test_app.py`.) The commands are the user's, and what they find is the truth.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from stages.simnet.compare import compare
from stages.simnet.network import Simnet
from tests.integration import plans
from tests.integration.stored import assert_true, behind
from tests.integration.test_pipes import banner, tls
from tests.integration.workers import PATIENCE

#: What macOS and the BSDs lack, taken away before anybody looks; then the `longline` of this folder.
ELSEWHERE = """
import errno, select, signal, socket, sys
del select.epoll, select.poll
for module, names in (
    (socket, "AF_PACKET AF_NETLINK MSG_ERRQUEUE IP_RECVERR SOCK_NONBLOCK SOCK_CLOEXEC"),
    (errno, "ENONET"),
    (signal, "pidfd_send_signal"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in ("numba", "llvmlite", "pyroute2", "scapy", "uvloop", "resource"):
    sys.modules[name] = None
import stages.net.errqueue
stages.net.errqueue.AVAILABLE = False
from stages.cli.main import main
sys.exit(main())
"""


def elsewhere(*words: str) -> list[str]:
    return [sys.executable, "-c", ELSEWHERE, *words]


@pytest.mark.slow
def test_the_whole_pipeline(town: Simnet, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}/town.db"
    argv = elsewhere(*plans.run(town, store, rate=3_000), "--engine", "connect")
    with (tmp_path / "said").open("wb") as said:
        code = town.run(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=tmp_path).wait(PATIENCE)
    text = (tmp_path / "said").read_text()
    assert code == 0, text
    assert "Traceback" not in text
    assert_true(town, store)
    assert not behind(tmp_path / "town.db")


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "port"), [("bannergrab", 80), ("tlsgrab", 443)])
def test_a_grab_in_a_pipe(town: Simnet, tmp_path: Path, stage: str, port: int) -> None:
    """Also of addresses that refuse: the outcome is told without an error queue."""
    wanted = [e for e in town.expected() if e.port == port][:150]
    lines = [f"{e.ip}:{port}" for e in wanted]
    (tmp_path / "targets").write_text("\n".join([*lines, "127.0.0.1:1\n"]))
    words = plans.BANNERS if stage == "bannergrab" else plans.TLS
    with (tmp_path / "targets").open("rb") as targets:
        argv = elsewhere(stage, *words)
        grab = town.run(argv, stdin=targets, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
        output, said = grab.communicate(timeout=PATIENCE)
    assert grab.returncode == 0, said.decode()
    records = {(d["ip"], d["port"]): line for line in output.splitlines() for d in [orjson.loads(line)]}
    assert orjson.loads(records.pop(("127.0.0.1", 1)))["outcome"] == "refused"
    read = banner if stage == "bannergrab" else tls
    difference = compare(wanted, [read(line) for line in records.values()])
    assert not difference, difference.lines()
    assert difference.right == len(wanted)
