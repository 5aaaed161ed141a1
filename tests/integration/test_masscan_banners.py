"""`longline masscan --banners`: what nginx and OpenSSH say, in each of masscan's formats, beside Debian's masscan."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stages.scanner.masscan.items import Banner, Status
from stages.scanner.masscan.reading import read_items
from stages.simnet import realservers
from stages.simnet.network import Simnet
from stages.simnet.spec import Spec
from tests.integration.conftest import build
from tests.integration.continued import LONGLINE, PATIENCE_S
from tests.require import require

TARGETS = "10.77.66.0/29"
ADDRESSES = {f"10.77.66.{n}" for n in range(8)}
SSH, HTTP = 2222, 8081
FORMATS = {"-oX": "xml", "-oJ": "json", "-oD": "ndjson", "-oL": "list", "-oG": "grepable", "-oB": "binary"}

#: Of these source ports this kernel is told to say nothing about masscan's own connections.
MASSCAN_PORTS = (40_960, 45_055)
QUIET = """
add table inet beside
add chain inet beside quiet {{ type filter hook prerouting priority -300; }}
add rule inet beside quiet tcp dport {}-{} drop
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def net() -> Iterator[Simnet]:
    with TemporaryDirectory(prefix="longline-servers-") as folder, build(Spec(rules=False, servers=False)) as net:
        place = Path(folder)
        place.chmod(0o755)
        for server in (realservers.nginx(place, HTTP), realservers.sshd(place, SSH)):
            require(server.installed, f"{server.name} (Debian: {server.package})")
            realservers.start(net, server)
        yield net


def run(net: Simnet, folder: Path, *words: str) -> str:
    argv = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(folder), *words]
    program = net.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, told = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0, told.decode()
    return bytes(out).decode()


def heard(data: bytes) -> tuple[set[tuple[str, int]], dict[tuple[str, int], Banner]]:
    """Open ports, and what they said."""
    items = list(read_items(data))
    found = {(item.ip, item.port) for item in items if isinstance(item, Status) and item.state == "open"}
    return found, {(item.ip, item.port): item for item in items if isinstance(item, Banner)}


def scanned(net: Simnet, folder: Path, *more: str) -> bytes:
    run(
        net, folder, *LONGLINE, "masscan", TARGETS, f"-p{SSH},{HTTP}", "--banners", "--hello-timeout", "2", "--rate",
        "1000", "--wait", "3", "--no-system-config", *more,
    )  # fmt: skip
    return (folder / "out").read_bytes()


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("option", FORMATS)
def test_each_format_has_what_ports_said(net: Simnet, tmp_path: Path, option: str) -> None:
    found, said = heard(scanned(net, tmp_path, option, "out"))
    wanted = {(ip, port) for ip in ADDRESSES for port in (SSH, HTTP)}
    assert found == wanted
    assert said.keys() == wanted
    for (_, port), banner in said.items():
        assert banner.service == {SSH: "ssh", HTTP: "http"}[port]
        assert banner.data.startswith({SSH: b"SSH-2.0-OpenSSH_", HTTP: b"HTTP/1.1 200 OK\r\nServer: nginx"}[port])


@pytest.mark.timeout(PATIENCE_S)
def test_where_the_kernel_cannot_be_kept_quiet_ports_are_dialled(net: Simnet, tmp_path: Path) -> None:
    """Without the right to firewall rules (no CAP_NET_ADMIN)."""
    bare = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    run(
        net, tmp_path, *bare, *LONGLINE, "masscan", TARGETS, f"-p{SSH},{HTTP}", "--banners", "--hello-timeout", "2",
        "--rate", "1000", "--wait", "3", "--no-system-config", "-oJ", "out",
    )  # fmt: skip
    found, said = heard((tmp_path / "out").read_bytes())
    assert said.keys() == found == {(ip, port) for ip in ADDRESSES for port in (SSH, HTTP)}


@pytest.mark.timeout(PATIENCE_S)
def test_beside_masscan(net: Simnet, tmp_path: Path) -> None:
    """Its binary file and ours, each read by the other."""
    require(shutil.which("masscan") and shutil.which("nft"), "masscan and nftables (Debian: the same)")
    net.run(["nft", "-f", "-"], stdin=subprocess.PIPE).communicate(QUIET.format(*MASSCAN_PORTS).encode())
    try:
        run(
            net, tmp_path, "masscan", TARGETS, f"-p{SSH}", "--banners", "--rate", "100", "--wait", "8",
            "--adapter-port", "{}-{}".format(*MASSCAN_PORTS), "-oB", "theirs",
        )  # fmt: skip
    finally:
        net.run(["nft", "delete", "table", "inet", "beside"]).wait()
    ours = heard(scanned(net, tmp_path, "-oB", "out"))[1]
    (tmp_path / "out").rename(tmp_path / "ours")
    theirs = heard((tmp_path / "theirs").read_bytes())[1]
    assert theirs.keys() <= {key for key in ours if key[1] == SSH}
    assert theirs, "masscan heard nothing"
    for key, banner in theirs.items():
        assert (banner.service, banner.data.rstrip()) == ("ssh", ours[key].data.rstrip())
    run(net, tmp_path, "masscan", "--readscan", "ours", "--banners", "-oL", "read")
    assert {key: one.data for key, one in heard((tmp_path / "read").read_bytes())[1].items()} == {
        key: one.data for key, one in ours.items()
    }
