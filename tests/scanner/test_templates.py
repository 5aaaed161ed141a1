from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether

from stages.scanner import templates


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "longline" / "templates"


def no_helper(argv: list[str], text: str = "") -> str:
    raise AssertionError("the helper ran")


@pytest.mark.parametrize(("args", "length", "options"), [
    ("smallest-probes", 58, ["MSS"]),
    ("bsd", 78, ["MSS", "NOP", "WScale", "NOP", "NOP", "Timestamp", "SAckOK", "EOL"]),
    ("windows", 66, ["MSS", "NOP", "WScale", "NOP", "NOP", "SAckOK"]),
    ("linux", 74, ["MSS", "SAckOK", "Timestamp", "NOP", "WScale"]),
])  # fmt: skip
def test_option_sets(cache: Path, args: str, length: int, options: list[str]) -> None:
    frame = templates.get("tcp_synscan", args)
    assert len(frame) == length
    seen = Ether(frame)
    assert [name for name, _ in seen[TCP].options] == options
    assert (seen[TCP].flags, seen[TCP].dport, seen[TCP].seq, seen[TCP].chksum) == ("S", 0, 0, 0)
    assert (seen[IP].id, seen[IP].chksum, seen[IP].dst, seen[IP].len) == (0, 0, "0.0.0.0", length - 14)


def test_echo_request(cache: Path) -> None:
    seen = Ether(templates.get("icmp_echoscan", b"payload".hex()))
    assert (seen[ICMP].type, bytes(seen[ICMP].payload)) == (8, b"payload")


def test_the_others(cache: Path) -> None:
    seen = Ether(templates.get("tcp_synackscan", "smallest-probes"))
    assert (seen[TCP].flags, seen[IP].flags, len(seen)) == ("SA", "DF", 58)
    seen = Ether(templates.get("udp", b"hello".hex()))
    assert (seen[UDP].len, seen[UDP].chksum, bytes(seen[UDP].payload)) == (13, 0, b"hello")


def test_the_second_time_comes_from_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = templates.get("tcp_synscan", "linux")
    monkeypatch.setattr(templates, "_helper", no_helper)
    assert templates.get("tcp_synscan", "linux") == first
    assert [file.suffix for file in cache.iterdir()] == [".frame"]


@pytest.mark.parametrize("damage", [b"", b"short", bytes(100)])
def test_a_damaged_cache_is_built_again(cache: Path, damage: bytes) -> None:
    first = templates.get("tcp_synscan", "linux")
    (file,) = cache.iterdir()
    file.write_bytes(damage)
    assert templates.get("tcp_synscan", "linux") == first
    assert len(file.read_bytes()) == len(first) + 32


def test_without_a_cache_directory_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocker))
    assert len(templates.get("tcp_synscan", "windows")) == 66


def test_show(cache: Path) -> None:
    text = templates.show([templates.get("tcp_synscan", "linux"), templates.get("icmp_echoscan", "00")])
    assert text.count("###[ Ethernet ]###") == 2
    assert "echo-request" in text


def test_a_failing_helper_says_why(cache: Path) -> None:
    with pytest.raises(templates.TemplateError, match="KeyError"):
        templates.get("tcp_synscan", "solaris")


def test_scapy_stays_out_of_this_process() -> None:
    code = "import sys\nfrom stages.scanner import probes\nprobes.get('tcp_synscan')\nprint('scapy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_helper_that_cannot_be_started_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(cache / "none"))
    with pytest.raises(templates.TemplateError, match="helper cannot be started: No such file"):
        templates.get("tcp_synscan", "linux")
