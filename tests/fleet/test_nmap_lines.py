from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.fleet.nmap_lines import IGNORED, PROBES, REFUSED, VALUED, Refused, parse, read

SYN = {"probe_module": "tcp_synscan", "scan": "s"}


@pytest.mark.parametrize(
    ("line", "scanner"),
    [
        ("nmap -p 80 10.0.0.0/24", {**SYN, "targets": ("10.0.0.0/24",), "target_ports": "80"}),
        ("nmap -sS -p22,80 -Pn -n -v -T4 10.0.0.1", {**SYN, "targets": ("10.0.0.1",), "target_ports": "22,80"}),
        ("/usr/bin/nmap -sT -p- h.example", {**SYN, "targets": ("h.example",), "target_ports": "1-65535"}),
        (
            "nmap -sS -p1-100 10.0.0.1-20 10.2.0.0/16 -oA out --max-rate 50 --max-retries=2",
            {
                **SYN, "targets": ("10.0.0.1-10.0.0.20", "10.2.0.0/16"), "target_ports": "1-100", "rate": 50,
                "retries": 2,
            },
        ),
        ("nmap -sn 10.0.0.0/24", {"probe_module": "icmp_echoscan", "scan": "s", "targets": ("10.0.0.0/24",)}),
        (
            "nmap -sU -p 53 10.0.0.1",
            {"probe_module": "udp", "scan": "s", "targets": ("10.0.0.1",), "target_ports": "53"},
        ),
        ("nmap --min-rate 100000 -p 80 10.0.0.1", {**SYN, "targets": ("10.0.0.1",), "target_ports": "80"}),
        ("nmap -p 80 '10.0.0.1'", {**SYN, "targets": ("10.0.0.1",), "target_ports": "80"}),
    ],
)  # fmt: skip
def test_a_line_is_a_scan(line: str, scanner: dict[str, Any]) -> None:
    assert parse(line).sections("s") == {"scanner": scanner}


def test_who_is_excluded() -> None:
    made = parse("nmap -p 80 10.0.0.0/24 --exclude 10.0.0.7,10.0.0.9-11").sections("s")
    assert made["lists"] == {"exclude": ("10.0.0.7", "10.0.0.9-10.0.0.11")}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rm -rf /", "'rm': not a command line of nmap"),
        ("nmap -p 80 10.0.0.1; reboot", "reboot|10.0.0.1;"),
        ("nmap -p 80 $(reboot)", ""),
        ("nmap -A 10.0.0.1", "'-A': services"),
        ("nmap --script=vuln 10.0.0.1", "no scripts"),
        ("nmap -iL list", "'-iL'"),
        ("nmap 10.0.0.1", "which ports"),
        ("nmap -p http 10.0.0.1", "ports by number"),
        ("nmap -p 80", "no target"),
        ("nmap -p", "needs a value"),
        ("nmap -sn -p 80 10.0.0.1", "no ports"),
        ("nmap -p 80 10.0-255.1.1", "last number only"),
        ("nmap -p 80 10.0.*.1", "last number only"),
        ("nmap --dance -p 80 10.0.0.1", "'--dance': not read"),
        ("nmap --max-rate x -p 80 10.0.0.1", "not a number"),
        ("nmap -p 80 '10.0.0.1", "quotation"),
        ("nmap " + "x" * 200_000, "characters"),
    ],
)
def test_a_line_that_is_no_scan_of_ours_is_refused_with_the_reason(line: str, said: str) -> None:
    if said == "" or "reboot" in said:  # words like others: no target can be read from them, and nothing is executed
        assert any("reboot" in target or ";" in target for target in parse(line).targets)
        return
    with pytest.raises(Refused, match=said):
        parse(line).sections("s")


def test_comments_and_blank_lines_are_skipped_and_numbers_are_those_of_the_file() -> None:
    text = "# mine\n\nnmap -p 80 10.0.0.1\n  #no\n nmap -p 81 10.0.0.2 \n"
    assert list(read(text)) == [(3, "nmap -p 80 10.0.0.1"), (5, "nmap -p 81 10.0.0.2")]


def test_no_option_is_in_two_tables() -> None:
    tables = [set(PROBES), set(IGNORED), set(VALUED), set(REFUSED)]
    assert sum(map(len, tables)) == len(set().union(*tables))


@given(st.text(max_size=60))
def test_any_text_is_a_scan_or_refused(text: str) -> None:
    try:
        parse(f"nmap {text}").sections("s")
    except Refused:
        pass
