"""--echo is read again as what it was made from: by us, and by masscan."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.cli.masscan.config import Config
from stages.cli.masscan.echo import echo, ports
from stages.cli.masscan.values import parse_port_list
from stages.cli.masscan.words import parse_words, read_text
from tests.require import require

PORTS = st.sets(st.integers(0, 65535), max_size=6)
CONFIGS = st.builds(
    Config,
    ranges=st.lists(st.sampled_from(("10.0.0.0/8", "10.0.0.1-10.0.0.9", "10.0.0.1", "fd00::/120")), max_size=3),
    excludes=st.lists(st.sampled_from(("10.1.0.0/16", "10.0.0.3")), max_size=2),
    exclude_files=st.lists(st.sampled_from(("/etc/a.txt", "b c")), max_size=2),
    include_files=st.lists(st.just("t.txt"), max_size=1),
    tcp=PORTS,
    udp=PORTS,
    ping=st.booleans(),
    rate=st.sampled_from((0.1, 100.0, 1e6)),
    seed=st.none() | st.integers(0, 2**64 - 1),
    retries=st.integers(0, 9),
    wait=st.sampled_from((0.0, 10.0, 315_360_000.0)),
    ttl=st.integers(1, 255),
    adapter=st.none() | st.just("eth0"),
    adapter_port=st.none() | st.just("5000-5003"),
    router_mac=st.none() | st.just("66-55-44-33-22-11"),
    vlan=st.none() | st.integers(0, 4094),
    payloads=st.none() | st.just(("nmap-payloads", "a file")) | st.just(("pcap-payloads", "c.pcap")),
    reset=st.booleans(),
    banners=st.booleans(),
    http=st.dictionaries(st.sampled_from(("method", "user-agent")), st.just("x y"), max_size=2),
    http_fields=st.lists(st.just(("X-A", "b: c")), max_size=2),
    output_format=st.none() | st.sampled_from(("xml", "json")),
    output_filename=st.none() | st.just("scan out.xml"),
    append=st.booleans(),
    show_open=st.booleans(),
    show_closed=st.booleans(),
    status=st.booleans(),
    rotate=st.none() | st.just(3600.0),
    rotate_size=st.none() | st.just(1024),
)


@given(CONFIGS)
def test_the_round_trip(config: Config) -> None:
    again = Config()
    read_text(again, echo(config).encode(), "e.conf")
    assert again == config


@given(PORTS, PORTS, st.booleans())
def test_ports_round_trip(tcp: set[int], udp: set[int], ping: bool) -> None:
    text = ports(Config(tcp=tcp, udp=udp, ping=ping))
    if text:
        assert parse_port_list(text) == (tcp, udp, ping)


def test_all_ports_are_a_range() -> None:
    assert ports(Config(tcp=set(range(65536)))) == "0-65535"


def test_ranges_as_networks() -> None:
    config = replace(Config(ranges=["10.0.0.0-10.0.0.2"]), echo_cidr=True)
    assert "range = 10.0.0.0/31\nrange = 10.0.0.2/32\n" in echo(config)


COMMANDS = [
    "10.0.0.0/29 -p80,U:53,111,T:21-23 --ping --exclude 10.0.0.3 --seed 5 --rate 12.5 --shard 2/3",
    "10.0.0.1-10.0.0.9,10.1.0.0/16 -p0-65535 -oJ out.json --retries 3",
    "10.0.0.0/24 -p443 -oX out.xml --append-output --show closed --banners --ttl 64",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_masscan_reads_ours_and_we_read_masscans(command: str, tmp_path: Path) -> None:
    """Their echo of our echo, read by us, is what masscan itself makes of the command, as far as both tell it."""
    require(shutil.which("masscan"), "needs masscan")

    def masscan(*words: str) -> str:
        done = subprocess.run(["masscan", *words, "--echo"], capture_output=True, text=True, cwd=tmp_path, check=True)
        return done.stdout

    def told(text: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in re.findall(r"^([a-z-]+) = (.*?) *$", text, re.MULTILINE):
            found.setdefault(name, []).append(value)
        return found

    words = command.split()
    (tmp_path / "ours.conf").write_text(echo(parse_words(words, system=None)))
    theirs = masscan("-c", "ours.conf")
    direct = told(masscan(*words))
    again = told(theirs)
    for name in ("ports", "range", "shard", "output-format", "output-filename", "banners", "retries"):
        assert again.get(name) == direct.get(name), name
    config = Config()
    read_text(config, theirs.encode(), "theirs.conf")
    mine = parse_words(words, system=None)
    assert (config.tcp, config.udp, config.ping) == (mine.tcp, mine.udp, mine.ping)
    assert (config.shard, config.shards, config.output_format) == (mine.shard, mine.shards, mine.output_format)
