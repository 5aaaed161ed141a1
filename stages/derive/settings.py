"""Options of `longline certs`, `longline diff` and `longline query stats`."""

from __future__ import annotations

from stages.core.settings import Section, opt
from stages.derive.prefixes import V4_LENGTH, V6_LENGTH


class CertsSettings(Section):
    """Certs: certificates in and out, read and judged again"""

    form: str | None = opt(
        None,
        "--form",
        help="import, parse, show: form of the files; default: seen from each",
        choices=("pem", "der", "json"),
    )
    seen: str | None = opt(
        None, "--seen", metavar="TIME", help="import: when they were seen, RFC 3339 or an age; default: now"
    )
    format: str | None = opt(
        None,
        "-f",
        "--format",
        help="export (pem), parse (json), show (text): form of the output; zgrab2: as zcrypto prints certificates",
        choices=("text", "json", "pem", "der", "zgrab2"),
    )
    output: str = opt(
        "-", "-o", "--output", metavar="FILE", help="export, parse, show: file to write; -: standard output"
    )
    roots: tuple[str, ...] = opt(
        ("certifi",),
        "--roots",
        metavar="FILE",
        repeat=True,
        help="reprocess: root stores to judge by, certifi or a file of PEM; may be given many times",
    )
    at: str | None = opt(
        None, "--at", metavar="TIME", help="reprocess: time to judge for, RFC 3339 or an age; default: now"
    )
    restart: bool = opt(
        False, "--restart", help="reprocess: everything from the beginning, not from where the last run was"
    )


class DiffSettings(Section):
    """Diff: which services, and how they are shown"""

    by: str | None = opt(
        None, "--by", help="sums instead of single services", choices=("prefix", "port", "fingerprint")
    )
    prefix_length: int = opt(V4_LENGTH, "--prefix-length", metavar="N", help="bits of an IPv4 prefix", ge=0, le=32)
    prefix_length6: int = opt(V6_LENGTH, "--prefix-length6", metavar="N", help="bits of an IPv6 prefix", ge=0, le=128)
    ip: str | None = opt(None, "--ip", metavar="CIDR", help="address or network")
    port: int | None = opt(None, "--port", metavar="N", help="port", ge=0, le=65535)
    limit: int = opt(100, "--limit", metavar="N", help="at most so many rows; 0: all", ge=0)
    json_: bool = opt(False, "--json", help="one JSON object a line instead of a table")


class StatsSettings(Section):
    """Stats: services counted, scan by scan or day by day (query stats)"""

    by: str | None = opt(None, "--by", help="what they are counted by", choices=("port", "version", "issuer", "prefix"))
    over: str = opt("scans", "--over", help="a row of each scan, or of each day", choices=("scans", "days"))
    top: int = opt(8, "--top", metavar="N", help="most frequent values that are shown, the others as one", ge=1, le=100)
    prefix_length: int = opt(V4_LENGTH, "--prefix-length", metavar="N", help="bits of an IPv4 prefix", ge=0, le=32)
    prefix_length6: int = opt(V6_LENGTH, "--prefix-length6", metavar="N", help="bits of an IPv6 prefix", ge=0, le=128)
