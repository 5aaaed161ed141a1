"""What ZMap's users type, as they type it: `alias zmap='longline scan'`, in a simulated Internet.

Every example of the two manuals (versions 1 and 2) stands here verbatim. Where an example would go through the whole
IPv4 space, the environment bounds it: that is not on the command line.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from stages.simnet.realservers import find
from stages.simnet.spec import Spec
from stages.simnet.wiring import FAR_MAC, NEAR_LINK
from tests.integration.workers import LONGLINE, PATIENCE
from tests.require import require

BIN = str(Path(LONGLINE).parent)
NET = "10.0.0.0/20"

#: The sim's addresses and no others; not eight seconds of waiting for what comes in milliseconds.
BOUNDS = {
    "LONGLINE_LISTS_ALLOWLIST_FILE": "sim.txt",
    "LONGLINE_SCANNER_COOLDOWN_TIME": "1",
    "LONGLINE_SCANNER_MAX_TARGETS": "5000",
}

FIELDS = "response,saddr,daddr,sport,seq,ack,in_cooldown,is_repeat,timestamp"


@pytest.fixture(scope="module")
def net() -> Iterator[Simnet]:
    require(
        os.geteuid() == 0 and shutil.which("nft", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")), "root, nft"
    )
    with Simnet(Spec(seed=5, targets=(NET,), ports=(80, 443))) as one:
        yield one


@pytest.fixture(scope="module")
def open_at(net: Simnet) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {80: set(), 443: set()}
    for each in net.expected():
        found[each.port].add(each.ip)
    assert min(map(len, found.values())) > 100
    return found


def typed(net: Simnet, folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of a manual in bash, with the alias; it must end well."""
    (folder / "sim.txt").write_text(f"{NET}\n")
    (folder / "http-req").write_text("GET / HTTP/1.0\r\n\r\n")
    script = f"shopt -s expand_aliases\nalias zmap='longline scan'\nset -o pipefail\n{command}\n"
    program = net.run(
        ["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        cwd=folder, env={**os.environ, "LONGLINE_CONFINE": "1", **BOUNDS, **environment,
                         "PATH": f"{BIN}:{os.environ['PATH']}:/usr/sbin:/sbin"},
    )  # fmt: skip
    out, err = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0, err
    return subprocess.CompletedProcess(command, 0, out, err)


def column(text: str, name: str = "saddr") -> list[str]:
    return [row[name] for row in csv.DictReader(text.splitlines())]


@pytest.mark.parametrize(
    "command",
    [
        "zmap --bandwidth=10M --target-port=80 --max-targets=10000 --output-file=results.csv",
        "zmap -B 10M -p 80 -n 10000 -o results.csv",
        "zmap -p 80 -o results.csv 10.0.0.0/8 192.168.0.0/16",
    ],
)
def test_getting_started(net: Simnet, open_at: dict[int, set[str]], tmp_path: Path, command: str) -> None:
    ran = typed(net, tmp_path, command)
    found = column((tmp_path / "results.csv").read_text())
    assert len(found) == len(set(found))
    assert set(found) == open_at[80]  # 4,096 addresses are fewer than 10,000
    assert ran.stdout == ""
    assert "hitrate: " in ran.stderr
    if "10M" in command:
        assert " 10,000 probes/s" not in ran.stderr  # -B wins over the default of -r


def test_how_it_was_set_up(net: Simnet, tmp_path: Path) -> None:
    """The manual's lines, in our words; without -v 4 none of them is said."""
    said = typed(net, tmp_path, f"zmap -v 4 -q -B 10M -p 443 -n 10 -o out.csv --seed 7 {NET}").stderr
    first = typed(net, tmp_path, f"longline iterate -n 1 --seed 7 {NET}").stdout.strip()
    for line in (
        f"interface: no interface provided, will use {NEAR_LINK}, ",
        "order: 4,096 positions, ",
        f"begins with {first}\n",
        "lists: 4,096 addresses allowed to be scanned, ",
        "send: will send from 1 address on 28,233 source ports, rate set to 13,888.88889 pkt/s, 10,000,000 bits/s",
        "recv: 1 thread started, kernel filter of ",
    ):
        assert line in said
    assert "DEBUG" not in typed(net, tmp_path, f"zmap -q -p 443 -n 10 -o out.csv {NET}").stderr


def test_the_fields_of_a_module(net: Simnet, tmp_path: Path) -> None:
    ran = typed(net, tmp_path, 'zmap --probe-module="tcp_synscan" --list-output-fields')
    names = [line.split()[0] for line in ran.stdout.splitlines()]
    manual = """saddr saddr-raw daddr daddr-raw ipid ttl sport dport seqnum acknum window classification success repeat
    cooldown timestamp-str timestamp-ts timestamp-us"""
    assert {name.replace("-", "_") for name in manual.split()} <= set(names)


def test_the_modules(net: Simnet, tmp_path: Path) -> None:
    assert {"tcp_synscan", "icmp_echoscan", "udp"} <= set(
        typed(net, tmp_path, "zmap --list-probe-modules").stdout.split()
    )
    there = set(typed(net, tmp_path, "zmap --list-output-modules").stdout.split())
    assert {"csv", "json", "redis", "extended_file"} <= there


def test_fields_of_the_results(net: Simnet, open_at: dict[int, set[str]], tmp_path: Path) -> None:
    typed(net, tmp_path, f'zmap -p 80 -f "{FIELDS}" -o output.csv')
    rows = list(csv.DictReader((tmp_path / "output.csv").read_text().splitlines()))
    assert ",".join(rows[0]) == FIELDS
    assert {row["saddr"] for row in rows if row["response"] == "synack"} == open_at[80]
    assert {row["response"] for row in rows} >= {"synack", "rst"}  # -f drops the default filter, as in ZMap
    assert {row["is_repeat"] for row in rows} <= {"0", "1"}
    assert all(int(row["ack"]) > 0 for row in rows if row["response"] == "synack")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("success = 1 && repeat = 0", {"synack"}),
        ("(classification = rst && ttl > 10) || classification = synack", {"synack", "rst"}),
    ],
)
def test_filters(net: Simnet, open_at: dict[int, set[str]], tmp_path: Path, text: str, kept: set[str]) -> None:
    ran = typed(net, tmp_path, f'zmap -p 80 -q -f saddr,classification --output-filter="{text}"')
    assert set(column(ran.stdout, "classification")) == kept
    rows = csv.DictReader(ran.stdout.splitlines())
    assert {row["saddr"] for row in rows if row["classification"] == "synack"} == open_at[80]


def test_pings(net: Simnet, tmp_path: Path) -> None:
    ran = typed(net, tmp_path, "zmap --probe-module=icmp_echoscan")
    assert len(column(ran.stdout)) > 100


@pytest.mark.parametrize(
    "command",
    [
        "zmap -M udp -p 5632 --probe-args=text:ST -N 100 -f saddr,data -o -",
        "zmap -M udp -p 1434 --probe-args=hex:02 -N 100 -f saddr,data -o -",
        "zmap -M udp -p 1434 --probe-args=file:netbios_137.pkt -N 100 -f saddr,data -o -",
        "zmap -M udp -p 1434 --probe-args=file:sip_options.tpl -N 100 -f saddr,data -o -",
    ],
)
def test_datagrams(net: Simnet, tmp_path: Path, command: str) -> None:
    (tmp_path / "netbios_137.pkt").write_bytes(bytes(50))
    (tmp_path / "sip_options.tpl").write_text("OPTIONS sip:${RAND_ALPHA=8}@${DADDR} SIP/2.0\r\n\r\n")
    ran = typed(net, tmp_path, command)
    header, *rows = ran.stdout.splitlines()
    assert header == "saddr,data"
    assert len(rows) <= 100


def test_a_sample_and_the_seed_that_is_none(net: Simnet, tmp_path: Path) -> None:
    ran = typed(net, tmp_path, "zmap -p 443 -s 3 -n 1000000 -o results")
    assert "-s 3 is the source port of every probe; the seed of the order is -e/--seed" in ran.stderr
    assert len(column((tmp_path / "results").read_text())) > 100


def test_a_dry_run_through_grep_and_awk(net: Simnet, tmp_path: Path) -> None:
    command = "zmap -p 443 -s 3 -n 1000000 --dryrun | grep daddr | awk -F'daddr: ' '{print $2}' | sed 's/ |.*//;'"
    found = typed(net, tmp_path, command).stdout.split()
    assert len(found) == len(set(found)) == 4096
    assert all(address.startswith("10.0.") for address in found)
    # With a seed it says which hosts will be scanned: the scan of the same seed finds some of these and no others.
    first = command.replace("-s 3 -n 1000000", "-e 3 -n 500")
    chosen = typed(net, tmp_path, first).stdout.split()
    assert len(chosen) == 500
    assert chosen == typed(net, tmp_path, first).stdout.split()
    scanned = column(typed(net, tmp_path, "zmap -p 443 -e 3 -n 500 -q").stdout)
    assert scanned
    assert set(scanned) <= set(chosen)


def test_into_banner_grab(net: Simnet, tmp_path: Path) -> None:
    program = tmp_path / "banner-grab-tcp"
    program.write_text('#!/bin/sh\nexec longline bannergrab "$@"\n')
    program.chmod(0o755)
    typed(
        net, tmp_path, "zmap -p 80 -N 1000 -B 10M -o - | ./banner-grab-tcp -p 80 -c 500 -d ./http-req > out",
        LONGLINE_BANNERGRAB_READ_TIMEOUT="3",
    )  # fmt: skip
    banners = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert len(banners) > 100
    assert {banner["port"] for banner in banners} == {80}


def test_into_forge_socket(net: Simnet, open_at: dict[int, set[str]], tmp_path: Path) -> None:
    """Its way of reading: nine cells parted by `, `, of which a `synack` that is no repeat is taken."""
    program = tmp_path / "forge-socket"
    program.write_text(
        "#!/bin/sh\nawk -F', ' 'NF >= 9 && $1 == \"synack\" && $9 + 0 == 0 {print $2, $3, $4, $5, $6, $7}'\n"
    )
    program.chmod(0o755)
    command = (
        "zmap -p 80 -N 1000 -B 10M -O extended_file -o - | ./forge-socket -c 500 -d ./http-req > ./http-banners.out"
    )
    typed(net, tmp_path, command)
    rows = [line.split() for line in (tmp_path / "http-banners.out").read_text().splitlines()]
    assert 10 < len(rows) <= 1000  # of the first thousand answers, most of which are refusals
    assert {row[0] for row in rows} <= open_at[80]
    assert {row[2] for row in rows} == {"80"}
    assert all(int(row[4]) > 0 and int(row[5]) > 0 for row in rows)


def test_into_ztee(net: Simnet, open_at: dict[int, set[str]], tmp_path: Path) -> None:
    """What `zmap ... | ztee ...` was, with only the commands' names changed."""
    ran = typed(net, tmp_path, "zmap -p 80 -q -f saddr,success -o - | longline tee --success-only all.csv")
    assert set(ran.stdout.split()) == open_at[80]
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert len(rows) > len(open_at[80])
    assert {row["saddr"] for row in rows if row["success"] == "1"} == open_at[80]


def test_a_log_of_the_run(net: Simnet, open_at: dict[int, set[str]], tmp_path: Path) -> None:
    """Metadata, status rows and summary of a scan by packets."""
    ran = typed(
        net, tmp_path,
        "zmap -p 80,443 -o out.csv -m meta.json -u status.csv -l log.txt --summary --notes 'a test' -q -r 4000",
        LONGLINE_SCANNER_MAX_TARGETS="100%",
    )  # fmt: skip
    meta = json.loads((tmp_path / "meta.json").read_text())
    opened = {port: len(found) for port, found in open_at.items()}
    assert meta["longline"]["success_by_port"] == {str(port): count for port, count in opened.items()}
    assert meta["success_unique"] == meta["output_results"] == sum(opened.values())
    assert (meta["packets_sent"], meta["targets_scanned"], meta["complete"]) == (8192, 8192, True)
    assert (meta["iface"], meta["notes"], meta["target_ports"]) == (NEAR_LINK, "a test", [80, 443])
    assert meta["gateway_mac"] == FAR_MAC
    assert meta["first_scanned"].startswith("10.0.")
    assert meta["rst_total"] if "rst_total" in meta else meta["longline"]["rst_total"] > 0
    status = list(csv.DictReader((tmp_path / "status.csv").read_text().splitlines()))
    assert status
    assert all(None not in row and None not in row.values() for row in status)
    assert int(status[-1]["sent-total"]) == 8192
    summary = dict(line.split("\t")[1:3] for line in ran.stdout.splitlines())
    assert summary["synack-received-unique"] == str(sum(opened.values()))
    assert summary["send-interface"] == NEAR_LINK
    assert ran.stderr == ""
    assert "8192 probes" in (tmp_path / "log.txt").read_text()


def test_beside_debians_zmap(net: Simnet, open_at: dict[int, set[str]], tmp_path: Path) -> None:
    """The same targets, options and configuration file: the same found set, the same columns."""
    zmap = find("zmap")
    require(zmap, "Debian's zmap")
    (tmp_path / "zmap.conf").write_text(
        f'interface "{NEAR_LINK}"\ngateway-mac {FAR_MAC}  # of the far side\nblacklist-file "skip.txt"\nrate 2000\n'
        f"cooldown-time 2\nprobe-module tcp_synscan\nquiet\ndisable-syslog\n"
    )
    (tmp_path / "skip.txt").write_text("10.0.3.0/24  # opted out\n")
    fields = "saddr,daddr,sport,classification,success,repeat"
    words = f"-C zmap.conf -p 80 -f {fields} --output-filter 'success = 1 && repeat = 0' -O csv {NET}"
    both = []
    for name in (str(zmap), "zmap"):
        ran = typed(net, tmp_path, f"{name} {words} -o - -m {Path(name).parent.name or 'ours'}.json")
        rows = list(csv.DictReader(ran.stdout.splitlines()))
        assert list(rows[0]) == fields.split(",")
        both.append({tuple(row.values()) for row in rows})
    assert both[0] == both[1]
    assert {row[0] for row in both[1]} == {ip for ip in open_at[80] if not ip.startswith("10.0.3.")}
    theirs, ours = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (Path(str(zmap)).parent.name, "ours"))
    assert set(theirs) - {"source_ip_first", "source_ip_last", "blacklist_filename", "blacklisted_networks",
                          "whitelisted_networks", "whitelist_filename", "use_seed"} <= set(ours)  # fmt: skip
    for key in ("success_unique", "target_port", "iface", "gateway_mac", "packet_streams", "probe_module", "total_sent",
                "cooldown_secs", "shard_num", "total_shards", "blacklist_total_allowed"):  # fmt: skip
        assert theirs[key] == ours[key], key


def test_default_mode_beside_debians_zmap(net: Simnet, tmp_path: Path) -> None:
    zmap = find("zmap")
    require(zmap, "Debian's zmap")
    options = f"-q -i {NEAR_LINK} -G {FAR_MAC} -b /dev/null -c 2 -r 2000 -p 443 {NET}"
    theirs = set(typed(net, tmp_path, f"{zmap} {options} -o -").stdout.split())
    ours = typed(net, tmp_path, f"zmap {options}").stdout.split()
    assert ours[0] == "saddr"
    assert set(ours[1:]) == theirs - {"saddr"}
    assert len(ours) > 100
