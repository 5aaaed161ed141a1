"""A configuration as settings of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stages.cli.masscan import loaded_of, mapping
from stages.cli.masscan.words import parse_words
from stages.core.errors import UsageError
from stages.core.settings import ListSettings
from stages.scanner.settings import ScannerSettings


def settings(words: str) -> ScannerSettings:
    return loaded_of(parse_words(words.split(), system=None)).get("scanner", ScannerSettings)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("10.0.0.1 -p80", {"targets": ("10.0.0.1",), "target_ports": "80", "rate": 100.0, "probe_ttl": 255,
                           "cooldown_time": 10.0, "output_module": "interactive", "probe": (), "seed": None}),
        ("10.0.0.1 -pU:53", {"probe_module": "udp", "target_ports": "53"}),
        ("10.0.0.1 -pU:53 --nmap-payloads f", {"probe_module": "udp", "probe_args": "payloads:f"}),
        ("10.0.0.1 -p80,U:53 --pcap-payloads f", {"probe": ("tcp_synscan:80", "udp:53 payloads:f")}),
        ("10.0.0.1 --ping", {"probe_module": "icmp_echoscan", "target_ports": None}),
        ("10.0.0.1 -p80,443,U:53 --ping", {"probe": ("tcp_synscan:80,443", "udp:53", "icmp_echoscan")}),
        ("10.0.0.1 -p80-82 --exclude-ports 81", {"target_ports": "80,82"}),
        ("10.0.0.1 -p80 --shard 2/3", {"shard": 1, "shards": 3, "seed": 0}),
        ("10.0.0.1 -p80 --shard 2/3 --seed 9", {"shard": 1, "seed": 9}),
        ("10.0.0.1 -p80 --resume-index 5 --resume-count 7", {"first_target": 5, "max_targets": "7", "seed": 0}),
        ("10.0.0.1 -p80 --retries 2", {"retries": 2, "retry_interval": 1.0}),
        ("10.0.0.1 -p80 -oJ f", {"output_module": "masscan-json", "output_file": "f", "show": "open"}),
        ("10.0.0.1 -p80 --output-filename f", {"output_module": "xml"}),
        ("10.0.0.1 -p80 -oX f --show closed", {"show": "all"}),
        ("10.0.0.1 -p80 -oX f --show closed --noshow open", {"show": "closed"}),
        ("10.0.0.1 -p80 -oX f --append-output --rotate 1h --rotate-size 1k --rotate-offset 5",
         {"append_output": True, "rotate": 3600.0, "rotate_size": 1024, "rotate_offset": 5.0}),
        ("10.0.0.1 -p80 --nostatus -v", {"quiet": True, "verbosity": 4}),
        ("10.0.0.1 -p80 -e eth7 -S 10.0.0.9 -g 5000 --router-mac 66-55-44-33-22-11 --vlan 7 --noreset",
         {"interface": "eth7", "source_ip": "10.0.0.9", "source_port": "5000", "gateway_mac": "66-55-44-33-22-11",
          "vlan": 7, "send_rst": "never"}),
        ("10.0.0.1 -p80 --output-format none", {"output_module": "null", "show": None}),
    ],
)  # fmt: skip
def test_settings(words: str, wanted: dict[str, Any]) -> None:
    found = settings(words)
    assert {name: getattr(found, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("10.0.0.1", "no port to scan"),
        ("-p80", "no target"),
        ("10.0.0.1 -p80 --output-format json", "needs --output-filename"),
        ("10.0.0.1 -p80 --rotate 1h", "none is named"),
        ("10.0.0.1 -p80 --noshow all", "nothing is left to show"),
        ("10.0.0.1 -p80 -g 5000 --retries 1", "need as many source ports"),
        ("10.0.0.1 -p80 --excludefile /nowhere", "--excludefile: '/nowhere': No such file"),
        ("-iL /nowhere -p80", "-iL: '/nowhere': No such file"),
    ],
)
def test_what_does_not_go_together(words: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        settings(words)


def test_lists_of_targets(tmp_path: Path) -> None:
    file = tmp_path / "targets"
    file.write_text("# a\n; b\n\n10.0.0.1,10.0.0.2  # c\n10.0.1.0/24\n 10.0.2.1-10.0.2.3\n2001:db8::1\n")
    found = settings(f"-iL {file} 10.9.0.1 -p80").targets
    assert found == ("10.9.0.1", "10.0.0.1", "10.0.0.2", "10.0.1.0/24", "10.0.2.1-10.0.2.3", "2001:db8::1")
    file.write_text("10.0.0.1\n  10.0.0.9-10.0.0.1\n")
    with pytest.raises(UsageError, match=f"{file}:2:3: '10.0.0.9-10.0.0.1': .*inverted"):
        settings(f"-iL {file} -p80")


def test_lists_of_what_is_excluded(tmp_path: Path) -> None:
    """One that is a list of ours is watched; one in masscan's own form is read once."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.write_text("10.0.0.1\n10.0.1.0/24 # why\n")
    theirs.write_text("10.0.2.1,10.0.2.2\n")
    words = f"10.0.0.0/8 -p80 --exclude 10.3.0.0/16 --excludefile {ours} --excludefile {theirs}"
    lists = loaded_of(parse_words(words.split(), system=None)).get("lists", ListSettings)
    assert (lists.blocklist_file, lists.exclude) == ((str(ours),), ("10.3.0.0/16", "10.0.2.1", "10.0.2.2"))


def test_banners_are_the_grabs() -> None:
    config = parse_words(["10.0.0.1", "-p80", "--banners", "--hello-timeout", "3"], system=None)
    found = mapping.grab_of(config)
    assert (found["wait"], found["total_timeout"]) == (3.0, 30.0)
    assert mapping.grab_of(parse_words(["10.0.0.1", "-p80"], system=None)) == {}


def test_the_request() -> None:
    words = [
        "--http-method", "POST", "--http-url", "/a?b", "--http-version", "1.1", "--http-host", "h.example",
        "--http-user-agent", "me/1", "--http-cookie", "c=d", "--http-payload", "xyz", "--http-field", "Accept: no",
    ]  # fmt: skip
    assert mapping.request_of(parse_words(words, system=None)) == (
        b"POST /a?b HTTP/1.1\r\nUser-Agent: me/1\r\nHost: h.example\r\nCookie: c=d\r\nContent-Length: 3\r\n"
        b"Accept: no\r\n\r\nxyz"
    )
    assert mapping.request_of(parse_words([], system=None)) == (
        b"GET / HTTP/1.0\r\nUser-Agent: longline/1.0\r\nAccept: */*\r\n\r\n"
    )
