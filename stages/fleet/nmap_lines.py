"""nmap's command lines as scans of ours: what a `commands.txt` of dnmap holds. Pure.

Nothing is executed: a line is split into words and each word is read into a typed field, or the line is refused with
the reason. What only says how nmap should go about it (timing, output files, name resolution, verbosity) changes
nothing here. A minimum rate cannot be forced on an agent, and is left out as dnmap's clients did.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

#: Scan types -> our probe module. nmap's default is -sS for root and -sT for others; both ask for the same ports.
PROBES: Final = {
    "-sS": "tcp_synscan",
    "-sT": "tcp_synscan",
    "-sn": "icmp_echoscan",
    "-sP": "icmp_echoscan",
    "-sU": "udp",
}

#: Without a value, and of no meaning here.
IGNORED: Final = frozenset(
    {
        "-Pn", "-P0", "-PN", "-PE", "-n", "-R", "-v", "-vv", "-vvv", "-d", "-dd", "-T0", "-T1", "-T2", "-T3", "-T4",
        "-T5", "--open", "--reason", "--defeat-rst-ratelimit", "--append-output", "--privileged", "--unprivileged",
        "--randomize-hosts", "-r", "--no-stylesheet",
    }
)  # fmt: skip

#: With a value that is not looked at.
VALUED: Final = frozenset(
    {
        "-oA", "-oN", "-oX", "-oG", "-oS", "-T", "-e", "-S", "-g", "--source-port", "--min-rate", "--min-parallelism",
        "--max-parallelism", "--min-hostgroup", "--max-hostgroup", "--host-timeout", "--initial-rtt-timeout",
        "--min-rtt-timeout", "--max-rtt-timeout", "--scan-delay", "--max-scan-delay", "--stats-every", "--stylesheet",
        "--dns-servers", "--data-length", "--ttl",
    }
)  # fmt: skip

#: What is refused, with what to do instead.
REFUSED: Final = {
    "-A": "services and operating systems are found by bannergrab and tlsgrab, on what the scan finds",
    "-sV": "services are found by bannergrab (--talk identify), on what the scan finds",
    "-sC": "there are no scripts",
    "--script": "there are no scripts",
    "-O": "operating systems are not guessed",
    "-iL": "targets from a file of the agent's: write them into the line",
    "-iR": "random targets: use longline campaign submit with max_targets of a whole space",
    "-F": "nmap's own list of ports: name them with -p",
    "--top-ports": "nmap's own list of ports: name them with -p",
    "-6": "IPv6 targets are no work for a fleet",
    "-sL": "nothing would be sent",
    "-sF": "only -sS, -sT, -sU and -sn are done",
    "-sX": "only -sS, -sT, -sU and -sn are done",
    "-sN": "only -sS, -sT, -sU and -sn are done",
    "-sA": "only -sS, -sT, -sU and -sn are done",
    "-D": "decoys send in the name of others",
    "-sI": "an idle scan sends in the name of others",
}

_LAST_OCTET: Final = re.compile(r"((?:\d{1,3}\.){3})(\d{1,3})-(\d{1,3})", re.ASCII).fullmatch
_PORTS: Final = re.compile(r"[0-9,-]+", re.ASCII).fullmatch

#: Characters of a line, at most.
MAX_LINE: Final = 100_000


class Refused(ValueError):
    """The line is no scan of ours; `word` is where."""

    def __init__(self, word: str, why: str) -> None:
        super().__init__(f"{word!r}: {why}")
        self.word = word


@dataclass(slots=True)
class Wanted:
    """What one line asks for, as settings of the sections `scanner` and `lists`."""

    targets: list[str] = field(default_factory=list)
    probe: str = "tcp_synscan"
    scanner: dict[str, Any] = field(default_factory=dict)
    exclude: list[str] = field(default_factory=list)

    def sections(self, scan: str) -> dict[str, dict[str, Any]]:
        """Raises Refused where ports or targets are missing."""
        if not self.targets:
            raise Refused("", "no target")
        ported = self.probe != "icmp_echoscan"
        if ported and "target_ports" not in self.scanner:
            raise Refused("-p", "which ports (nmap's own list is not known here)")
        if not ported and "target_ports" in self.scanner:
            raise Refused("-p", "a ping scan has no ports")
        made = {"scanner": {"targets": tuple(self.targets), "probe_module": self.probe, "scan": scan, **self.scanner}}
        return made | ({"lists": {"exclude": tuple(self.exclude)}} if self.exclude else {})


def read(text: str) -> Iterator[tuple[int, str]]:
    """(number, line) of the command lines of a file; blank ones and those behind `#` are skipped, as dnmap does."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def parse(line: str) -> Wanted:
    """One command line. Raises Refused."""
    if len(line) > MAX_LINE:
        raise Refused(line[:20], f"a line of {len(line)} characters")
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise Refused(line[:40], str(error)) from None
    if not words or words[0].rpartition("/")[2] != "nmap":
        raise Refused(words[0] if words else "", "not a command line of nmap")
    wanted = Wanted()
    rest = iter(words[1:])
    for word in rest:
        _take(wanted, word, rest)
    return wanted


def _take(wanted: Wanted, word: str, rest: Iterator[str]) -> None:
    name, equals, given = word.partition("=")

    def value() -> str:
        if equals:
            return given
        try:
            return next(rest)
        except StopIteration:
            raise Refused(word, "needs a value") from None

    if word in PROBES:
        wanted.probe = PROBES[word]
    elif word in REFUSED or name in REFUSED:
        raise Refused(word, REFUSED.get(word) or REFUSED[name])
    elif word in IGNORED:
        return
    elif name in ("--max-rate", "--max-retries"):
        _number(wanted, name, value())
    elif name == "--exclude":
        wanted.exclude += _targets(value().split(","))
    elif word.startswith("-p"):
        _ports(wanted, word[2:] or value())
    elif name in VALUED:
        value()
    elif word.startswith("-"):
        raise Refused(word, "not read: what it should do is not known")
    else:
        wanted.targets += _targets([word])


def _number(wanted: Wanted, name: str, text: str) -> None:
    if not text.isdecimal() or (name == "--max-rate" and int(text) == 0):
        raise Refused(f"{name} {text}", "not a number")
    key = "rate" if name == "--max-rate" else "retries"
    wanted.scanner[key] = int(text)


def _ports(wanted: Wanted, text: str) -> None:
    if text == "-":
        text = "1-65535"
    if not _PORTS(text):
        raise Refused(f"-p {text}", "ports by number only, such as 22,80,8000-8010")
    wanted.scanner["target_ports"] = text


def _targets(words: Sequence[str]) -> list[str]:
    """nmap's `10.0.0.1-20` is `10.0.0.1-10.0.0.20` here; other octets as ranges are refused."""
    found = []
    for word in words:
        if last := _LAST_OCTET(word):
            found.append(f"{last[1]}{last[2]}-{last[1]}{last[3]}")
        elif re.search(r"\d-\d|\*|,", word.rpartition("/")[0] or word):
            raise Refused(word, "ranges in the last number only, or a network such as 10.0.0.0/24")
        else:
            found.append(word)
    return found
