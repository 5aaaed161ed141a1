"""Command lines and configuration files of masscan's, the seed's and its manual's among them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from stages.cli.masscan.config import Config
from stages.cli.masscan.words import parse_words, read_text
from stages.core.errors import UsageError
from tests.fuzzing import fuzz, inputs

#: Inputs of the fuzz, read before the tests take LONGLINE_... out of the environment.
COUNT = inputs()


def parse(text: str) -> Config:
    return parse_words(text.split(), system=None)


#: Every command of the README (the seed) and of the manual, less the program's name.
EXAMPLES: dict[str, dict[str, Any]] = {
    "--regress": {"action": "regress"},
    "0.0.0.0/4 -p80 --rate 100000000 --router-mac 66-55-44-33-22-11": {
        "ranges": ["0.0.0.0/4"], "tcp": {80}, "rate": 1e8, "router_mac": "66-55-44-33-22-11",
    },
    "0.0.0.0/4 -p80 --rate 100000000 --offline": {"action": "offline"},
    "-p80,8000-8100 10.0.0.0/8": {"ranges": ["10.0.0.0/8"], "tcp": {80, *range(8000, 8101)}},
    "-p80,8000-8100 10.0.0.0/8 --echo": {"action": "echo"},
    "0.0.0.0/0 -p0-65535": {"tcp": set(range(65536)), "rate": 100.0},
    "0.0.0.0/0 -p0-65535 --excludefile exclude.txt": {"exclude_files": ["exclude.txt"]},
    "0.0.0.0/0 -p0-65535 -oX scan.xml": {"output_format": "xml", "output_filename": "scan.xml"},
    "0.0.0.0/0 -p0-65535 --max-rate 100000": {"rate": 1e5},
    "--nmap": {"action": "nmap"},
    "10.0.0.0/8 192.168.0.0/16 172.16.0.0/12 -p80 --open-only": {
        "ranges": ["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12"], "show_open": True, "show_closed": False,
    },
    "0.0.0.0/0 --excludefile no-dod.txt -pU:53 --banners --output-filename dns.xml": {
        "udp": {53}, "banners": True, "output_filename": "dns.xml", "output_format": None,
    },
    "--readscan bin-test.scan": {"action": "readscan", "readscan": ["bin-test.scan"]},
    "--readscan bin-test.scan -oX bin-test.xml": {"readscan": ["bin-test.scan"], "output_filename": "bin-test.xml"},
    "0.0.0.0/0 -p0-65535 --shard 2/3": {"shard": 2, "shards": 3},
    "0.0.0.0/0 -p0-65535 --resume-index 1000 --resume-count 1000": {"resume_index": 1000, "resume_count": 1000},
    "10.0.0.0/8 -p80 --banners --adapter-port 61234": {"adapter_port": "61234"},
    "10.0.0.0/8 -p80 --banners --adapter-ip 192.168.1.101": {"adapter_ip": "192.168.1.101"},
    "-v -sS 192.168.0.0/16 10.0.0.0/8 -p 80": {"verbosity": 1, "ranges": ["192.168.0.0/16", "10.0.0.0/8"]},
    "23.0.0.0/0 -p80 --banners -output-format binary --output-filename internet.scan": {
        "output_format": "binary", "output_filename": "internet.scan", "ranges": ["0.0.0.0/0"],
    },
    "--open --banners --readscan internet.scan -oG internet_scan.grepable": {
        "action": "readscan", "output_format": "grepable", "readscan": ["internet.scan"],
    },
}  # fmt: skip


@pytest.mark.parametrize("words", EXAMPLES)
def test_every_example_of_the_manual(words: str) -> None:
    config = parse(words)
    assert {name: getattr(config, name) for name in EXAMPLES[words]} == EXAMPLES[words]


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("--max-rate 5", "rate", 5.0),
        ("--MAX.RATE=5", "rate", 5.0),
        ("--max_rate:5", "rate", 5.0),
        ("--maxrate 5", "rate", 5.0),
        ("--adapter-ip[0] 10.0.0.1", "adapter_ip", "10.0.0.1"),
        ("-p 80", "tcp", {80}),
        ("-ports=80", "tcp", {80}),
        ("-p- ", "tcp", set(range(65536))),
        ("--ports 80 -p81", "tcp", {80, 81}),
        ("-e eth0", "adapter", "eth0"),
        ("-g 5000-5003", "adapter_port", "5000-5003"),
        ("-S 10.0.0.1", "adapter_ip", "10.0.0.1"),
        ("--wait forever", "wait", 315_360_000.0),
        ("--wait 0", "wait", 0.0),
        ("-vvv", "verbosity", 3),
        ("--show closed", "show_closed", True),
        ("--noshow open", "show_open", False),
        ("--ping", "ping", True),
        ("--ping=false", "ping", False),
        ("--top-ports 2", "tcp", {80, 23}),
        ("--top-ports --ping", "ping", True),
        ("--seed 7", "seed", 7),
        ("-oH hosts", "output_format", "hostonly"),
        ("--rotate hourly", "rotate", 3600.0),
        ("--rotate-size 1m", "rotate_size", 1 << 20),
        ("-iL a -iL b", "include_files", ["a", "b"]),
        ("--udp-ports 53,54", "udp", {53, 54}),
        ("--http-user-agent me/1", "http", {"user-agent": "me/1"}),
        ("--http-field X-A:1 --http-field X-B:2 --http-field-remove x-a", "http_fields", [("X-B", "2")]),
        ("--noreset", "reset", False),
        ("-sL", "action", "list"),
        ("--range fd00::/124", "ranges", ["fd00::/124"]),
        ("fd00::/124", "ranges", ["fd00::/124"]),  # masscan says it is unknown
        ("--exclude 10.0.0.1,10.0.0.3", "excludes", ["10.0.0.1", "10.0.0.3"]),
    ],
)
def test_an_option(words: str, field: str, value: object) -> None:
    assert getattr(parse(words), field) == value


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--expalin", "--expalin: unknown option; did you mean '--explain'?"),
        ("--bogus-thing 1", "--bogus-thing: unknown option"),
        ("--rate", "--rate: needs a value"),
        ("--rate fast", "--rate: 'fast': not a number"),
        ("-p 80,abc", "-p: '80,abc': 'abc' is not a port"),
        ("example.com", "target: 'example.com': no address, network or range"),
        ("10.0.0.0/99", "target: '10.0.0.0/99'"),
        ("ports", "did you mean '--ports'?"),
        ("--router-mac 1", "--router-mac: '1': not a MAC address"),
        ("--output-format foo", "not one of xml, json"),
        ("--output-format redis", "longline scan --bus"),
        ("--ttl 0", "--ttl: '0': below 1"),
        ("--adapter-ip[3] 10.0.0.1", "only [0]"),
        ("-c /nowhere", "-c: '/nowhere': No such file"),
        ("-A", "-A: not done: systems are not guessed"),
        ("-T4", "-T4: not done: the pace is --rate"),
        ("-oN x", "-oN: 'x': not done"),
        ("--heartbleed", "Longline exploits nothing"),
        ("--http-field a", "not NAME: VALUE"),
        ("--show ajar", "'ajar' is not one of"),
        ("--rotate-dir /nowhere", "no such folder"),
    ],
)
def test_what_is_wrong_is_named(words: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert named in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("words", ["--pfring", "-sT", "--blackrock-rounds 5", "--capture cert", "--bpf tcp", "-r"])
def test_what_is_ignored_is_said(words: str) -> None:
    config = parse(f"{words} 10.0.0.1")
    assert config.ranges == ["10.0.0.1"]
    assert config.notes[0].startswith(f"{words.split()[0]}: ignored: ")


README = b"""# My Scan
rate =  100000.00
output-format = xml
output-status = all
output-filename = scan.xml
ports = 0-65535
range = 0.0.0.0-255.255.255.255
excludefile = exclude.txt
"""
MANUAL = b"""# targets
range = 10.0.0.0/8,192.168.0.0/16
range = 172.16.0.0/14
ports = 20-25,80,U:53
ping = true

# adapter
adapter = eth0
adapter-ip = 192.168.0.1
router-mac = 66-55-44-33-22-11

# other
exclude-file = /etc/masscan/exludes.txt
"""
#: As masscan 1.3.2 leaves it on ^C.
PAUSED = b"""
# resume information
resume-index = 234

seed = 13095013356755250356
rate = 100
shard = 1/1
banners = true
nocapture = servername


# ADAPTER SETTINGS
adapter = eth0
adapter-ip = 192.168.0.1
router-mac-ipv4 = 66-55-44-33-22-11

# TARGET SELECTION (IP, PORTS, EXCLUDES)
ports = 21-23,80,U:53,U:111,I:0
range = 10.0.0.0-10.0.0.2
range = 10.0.0.4/30
"""


def test_the_readmes_configuration(tmp_path: Path) -> None:
    file = tmp_path / "myscan.conf"
    file.write_bytes(README)
    config = parse_words(["-c", str(file), "--rate", "5"], system=None)
    assert (config.rate, config.output_format, config.output_filename) == (5.0, "xml", "scan.xml")
    assert (config.show_open, config.show_closed, len(config.tcp)) == (True, True, 65536)
    assert (config.ranges, config.exclude_files) == (["0.0.0.0-255.255.255.255"], ["exclude.txt"])


def test_the_manuals_configuration() -> None:
    config = Config()
    read_text(config, MANUAL, "m.conf")
    assert config.ranges == ["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/14"]
    assert (config.tcp, config.udp, config.ping) == ({20, 21, 22, 23, 24, 25, 80}, {53}, True)
    assert (config.adapter, config.adapter_ip, config.router_mac) == ("eth0", "192.168.0.1", "66-55-44-33-22-11")
    assert config.exclude_files == ["/etc/masscan/exludes.txt"]


def test_a_paused_conf_of_masscans_is_done_whole(tmp_path: Path) -> None:
    file = tmp_path / "paused.conf"
    file.write_bytes(PAUSED)
    config = parse_words(["--resume", str(file)], system=None)
    assert (config.tcp, config.udp, config.ping) == ({21, 22, 23, 80}, {53, 111}, True)
    assert (config.append, config.resume_index, config.seed) == (True, 0, 13095013356755250356)
    assert any("paused by masscan at 234 of its order, which is not ours" in note for note in config.notes)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"rate = 1\nrate = fast\n", "m.conf:2:8: 'fast': not a number"),
        (b"  ratte = 1\n", "m.conf:1:3: 'ratte': unknown option; did you mean 'rate'?"),
        (b"rate\n", "m.conf:1:1: 'rate': needs `= VALUE`"),
        (b"\xff\n", "m.conf:1: not a text in UTF-8"),
        (b"a=1\n#\n\xff\n", "m.conf:3: not a text in UTF-8"),
        (b"range = 10.0.0.0/8,x\n", "m.conf:1:9: '10.0.0.0/8,x': 'x' is no address"),
        (b"heartbleed = true\n", "m.conf:1:14: 'true': not done"),
    ],
)
def test_a_bad_line_is_named(text: bytes, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_text(Config(), text, "m.conf")
    assert str(caught.value).startswith(named)


def test_comments_and_empty_lines() -> None:
    config = Config()
    read_text(config, b"\n# a\n; b\n! c\n  # d\n--rate = 7\n=x\n", "m.conf")
    assert config.rate == 7


def test_the_machines_own_file(tmp_path: Path) -> None:
    file = tmp_path / "masscan.conf"
    file.write_text("excludefile = /etc/no.txt\nrate = 5\n")
    config = parse_words(["-p80", "--rate", "9"], system=str(file))
    assert (config.exclude_files, config.rate) == (["/etc/no.txt"], 9.0)
    assert config.notes == [f"{file}: read, for this machine; --no-system-config leaves it out"]
    assert parse_words(["--no-system-config"], system=str(file)).exclude_files == []
    assert parse_words(["--readscan", "x"], system=str(file)).exclude_files == []
    assert parse_words(["-p80"], system=str(tmp_path / "none")).notes == []


def test_files_that_name_each_other_end(tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    file.write_text(f"conf = {file}\n")
    with pytest.raises(UsageError, match="8 deep"):
        parse_words(["-c", str(file)], system=None)


@fuzz
def test_any_configuration_is_read_or_refused() -> None:
    draw = random.Random(3)
    texts = [README, MANUAL, PAUSED.replace(b"0-65535", b"1-9")]
    for turn in range(COUNT):
        data = bytearray(texts[turn % 3].replace(b"0-65535", b"1-9"))
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(data))
            data[at : at + draw.randint(0, 4)] = draw.choice(
                (draw.randbytes(draw.randint(0, 3)), b"=", b"\n", b"-", b"9", b",", b"[1]", b"/", b"U:")
            )
        config = Config()
        try:
            read_text(config, bytes(data), "fuzz.conf")
        except UsageError:
            continue
        assert all(0 <= port <= 65535 for port in config.tcp | config.udp)


@fuzz
def test_any_command_line_is_read_or_refused() -> None:
    draw = random.Random(5)
    words = sorted({word for example in EXAMPLES for word in example.split()} | {"-", "--", "-p", "=", "--=", "[1]"})
    words = [word for word in words if "65535" not in word]
    for _ in range(COUNT):
        chosen = [draw.choice(words) for _ in range(draw.randint(1, 5))]
        word = chosen[-1]
        at = draw.randrange(len(word) + 1)
        chosen[-1] = word[:at] + draw.choice("-=:[]9a/., \0é") + word[at + 1 :]
        try:
            parse_words(chosen, system=None)
        except UsageError:
            continue
