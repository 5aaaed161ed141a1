"""The system's files, read in a mount namespace that has its own /etc, and no network at all."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from stages.cli import system
from stages.cli.sections import OF_ZMAP, SECTIONS
from stages.core.errors import SettingError
from stages.core.settings import Given, load
from stages.net import confine
from tests.cli.command import PATIENCE, argv, longline
from tests.require import require
from tests.scanner.test_zmapconf import EXAMPLE

ZMAP = {name: SECTIONS[name] for name in OF_ZMAP}


def in_etc(
    tmp_path: Path, files: dict[str, str], *words: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`longline` where /etc/zmap and /etc/longline hold `files`, without a network, not confined: a dry run sends
    nothing."""
    require(os.geteuid() == 0 and shutil.which("unshare"), "root and util-linux, for a mount namespace")
    for name in ("zmap", "longline"):
        (tmp_path / "etc" / name).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (tmp_path / "etc" / name).write_text(text)
    upper, work = tmp_path / "upper", tmp_path / "work"
    script = f"""
        set -e
        mount -t tmpfs tmpfs {shlex.quote(str(_made(upper)))}
        mkdir {upper}/etc {upper}/work
        mount -t overlay overlay -o lowerdir=/etc,upperdir={upper}/etc,workdir={upper}/work /etc
        rm -rf /etc/zmap /etc/longline
        cp -r {tmp_path}/etc/zmap {tmp_path}/etc/longline /etc/
        cd {_made(work)}
        exec "$@"
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LONGLINE_")}
    return subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", script, "sh", *argv(*words)],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
        env={**clean, "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})},
    )  # fmt: skip


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


DRY = ("scan", "-d", "-q", "-p", "80", "-S", "192.0.2.9", "-e", "1")


def daddrs(ran: subprocess.CompletedProcess[str]) -> set[str]:
    assert ran.returncode == 0, ran.stderr
    return {line.split("daddr: ")[1].split(" ")[0] for line in ran.stdout.splitlines() if "daddr: " in line}


def test_an_operators_exclusions_hold(tmp_path: Path) -> None:
    files = {
        "zmap/zmap.conf": 'blacklist-file "/etc/zmap/blacklist.conf"\nprobe-ttl 77\n',
        "zmap/blacklist.conf": "1.1.1.0/31\n",
        "longline/blocklist.conf": "1.1.1.2\n",
        "longline/longline.toml": '[lists]\nblocklist-file = ["/etc/longline/more.conf"]\n',
        "longline/more.conf": "1.1.1.3\n",
    }
    ran = in_etc(tmp_path, files, *DRY, "1.1.1.0/29")
    assert daddrs(ran) == {f"1.1.1.{n}" for n in range(4, 8)}
    for line in (
        "the system's /etc/zmap/zmap.conf says: blocklist-file, probe-ttl",
        "the system's /etc/longline/blocklist.conf says: blocklist-file",
        "the system's /etc/longline/longline.toml says: blocklist-file",
    ):
        assert any(said.endswith(line) or line in said for said in ran.stderr.splitlines()), ran.stderr
    # What a user says adds to it: an own -b, an own longline.toml, -C, all at once.
    (tmp_path / "work" / "longline.toml").write_text("[scanner]\nprobe-ttl = 5\n")
    (tmp_path / "own").write_text("1.1.1.4\n")
    (tmp_path / "own.conf").write_text(f"blacklist-file {tmp_path}/own\n")
    assert daddrs(in_etc(tmp_path, files, *DRY, "-C", str(tmp_path / "own.conf"), "1.1.1.0/29")) == {
        "1.1.1.5", "1.1.1.6", "1.1.1.7"
    }  # fmt: skip
    # Unless the system is told to keep out.
    eight = {f"1.1.1.{n}" for n in range(8)}
    assert daddrs(in_etc(tmp_path, files, *DRY, "--no-system-config", "1.1.1.0/29")) == eight
    assert daddrs(in_etc(tmp_path, files, *DRY, "1.1.1.0/29", env={"LONGLINE_NO_SYSTEM_CONFIG": "1"})) == eight
    # Where nothing can leave, it has no say: simulated networks are made of such addresses.
    assert daddrs(in_etc(tmp_path, files, *DRY, "1.1.1.0/29", env={"LONGLINE_CONFINE": "1"})) == eight


def test_a_block_list_without_a_configuration(tmp_path: Path) -> None:
    ran = in_etc(tmp_path, {"zmap/blocklist.conf": "1.1.1.0/31\n"}, *DRY, "1.1.1.0/30")
    assert daddrs(ran) == {"1.1.1.2", "1.1.1.3"}
    iterated = in_etc(tmp_path, {}, "iterate", "-e", "1", "1.1.1.0/30")
    assert sorted(iterated.stdout.split()) == ["1.1.1.2", "1.1.1.3"]


def test_a_wrong_line_of_the_system_is_named(tmp_path: Path) -> None:
    ran = in_etc(tmp_path, {"zmap/zmap.conf": "\nrte 5\n"}, *DRY, "1.1.1.0/30")
    assert ran.returncode == 2
    assert "/etc/zmap/zmap.conf:2:1: 'rte': no option of this command; did you mean 'rate'?" in ran.stderr


def test_the_manuals_configuration_file(tmp_path: Path) -> None:
    """Verbatim, with `--config=~/.zmap.conf --target-port=443` as the manual types it."""
    (tmp_path / ".zmap.conf").write_text(EXAMPLE)
    given = list(system.of_file(tmp_path / ".zmap.conf", ZMAP))
    loaded = load(SECTIONS, argv={"scanner": {"target_ports": "443"}}, environ={}, file=None, above=given)
    scanner, zmap, lists = (loaded.section(name) for name in OF_ZMAP)
    assert (scanner.interface, scanner.source_ip, scanner.gateway_mac) == (
        "eth1", "1.1.1.4-1.1.1.8", "b4:23:f9:28:fa:2d"
    )  # fmt: skip
    assert (scanner.cooldown_time, scanner.quiet, zmap.summary) == (300, True, True)
    assert scanner.output_file == os.path.expanduser("~/zmap-output")
    assert lists.blocklist_file == ("/etc/zmap/blacklist.conf",)
    assert loaded.origin("scanner", "cooldown_time") == f"{tmp_path}/.zmap.conf:4"
    (tmp_path / ".zmap.conf").write_text(EXAMPLE.replace("/etc/zmap/blacklist.conf", "/dev/null"))
    ran = longline(
        "scan", "--config=~/.zmap.conf", "--target-port=443", "-d", "-n", "1", "1.1.1.0/24",
        env={"HOME": str(tmp_path)}, cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "dhost: b4:23:f9:28:fa:2d" in ran.stdout
    assert "cnf\ttarget-port\t443\n" in ran.stderr


def test_the_command_line_wins(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("probe-ttl 5\nsource-ip 192.0.2.1\n")
    words = ("-p", "80", "-d", "-n", "1", "-S", "192.0.2.2", "10.0.0.0/24", "-m", "-", "-q")
    ran = longline("scan", "-C", tmp_path / "c", *words)
    assert "saddr: 192.0.2.2" in ran.stdout
    assert '"probe_ttl": 5' in ran.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate", ":1:1: 'rate': needs a value behind it"),
        ("quiet yes", ":1:7: 'yes': quiet stands alone, without a value"),
        ("targets 5", ":1:1: 'targets': no option of this command"),
        ("self-test", ":1:1: 'self-test': no option of this command"),
        ("no-rate 5", ":1:9: 'no-rate': needs a value behind it"),
    ],
)
def test_lines_that_mean_nothing(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c").write_text(text)
    with pytest.raises(SettingError) as raised:
        list(system.of_file(tmp_path / "c", ZMAP))
    assert str(raised.value).startswith(f"{tmp_path}/c{message}")


def test_a_refused_value_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("# mine\nrate fast\n")
    ran = longline("scan", "-C", tmp_path / "c", "-p", "80", "10.0.0.0/24")
    assert ran.returncode == 2
    assert f"{tmp_path}/c:2: 'fast': not a number such as" in ran.stderr


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"-C/--config: '.*': cannot be read: No such file"):
        list(system.of_file(tmp_path / "none", ZMAP))
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(SettingError, match="not a text in UTF-8"):
        list(system.of_file(tmp_path / "binary", ZMAP))
    (tmp_path / "large").write_bytes(b"#" * (system.MAX_BYTES + 1))
    with pytest.raises(SettingError, match="not a configuration file"):
        list(system.of_file(tmp_path / "large", ZMAP))


def test_no_and_yes(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("no-header-row\nquiet\n")
    origin = f"{tmp_path}/c"
    assert list(system.of_file(tmp_path / "c", ZMAP)) == [
        Given("scanner", "header_row", False, f"{origin}:1"), Given("scanner", "quiet", True, f"{origin}:2")
    ]  # fmt: skip


def test_who_has_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "confined", lambda: False)
    monkeypatch.setattr(confine, "marked", lambda: False)
    assert system.honoured(False)
    assert not system.honoured(True)
    monkeypatch.setenv(system.VARIABLE, "1")
    assert not system.honoured(False)
    monkeypatch.setenv(system.VARIABLE, "0")
    monkeypatch.setattr(confine, "marked", lambda: True)
    assert not system.honoured(False)


def test_own_lists_of_the_file_that_is_read_anyway(tmp_path: Path) -> None:
    (tmp_path / "longline.toml").write_text('[lists]\nblocklist-file = "a"\n')
    assert [given.value for given in system.own_lists(None, tmp_path)] == [("a",)]
    assert list(system.own_lists(tmp_path / "longline.toml", tmp_path)) == []
    (tmp_path / "longline.toml").write_text("[lists")
    with pytest.raises(SettingError, match="cannot be read"):
        list(system.own_lists(None, tmp_path))
