"""Options of `longline certs`."""

from __future__ import annotations

from stages.core.settings import Section, opt


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
