"""`docs/from-masscan.md`, from the table of options; and what of nmap's options there is (`--nmap`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stages.cli.masscan.options import EXACT, OPTIONS, Option

_HEAD: Final = "| option | also | here |\n|---|---|---|\n"

#: Names of the options that masscan has from nmap.
NMAP: Final = (
    "iL", "exclude", "excludefile", "randomize-hosts", "Pn", "n", "sS", "sU", "p", "top-ports", "max-rate", "banners",
    "S", "e", "g", "ttl", "spoof-mac", "oX", "oG", "oN", "oS", "oA", "v", "d", "open", "packet-trace", "iflist",
    "append-output", "resume", "send-eth", "V", "h", "sT", "sn", "PE", "A", "O", "F", "T", "sV", "sC", "f", "D", "R",
    "r", "scan-delay", "min-rate", "host-timeout", "traceroute", "dns-servers", "badsum", "data-length",
)  # fmt: skip


def flag(name: str) -> str:
    """How a name is typed."""
    return f"-{name}" if name in EXACT else f"--{name}"


def does(option: Option) -> str:
    """What an option does here, in words."""
    if option.refused:
        return f"refused: {option.refused}"
    if option.ignored:
        return f"ignored: {option.ignored}"
    return option.becomes


def rows(options: tuple[Option, ...] = OPTIONS) -> Iterator[str]:
    for option in options:
        first, *others = map(flag, option.names)
        value = {"value": " VALUE", "maybe": " [N]", "flag": ""}[option.takes]
        cells = (f"`{first}{value}`", " ".join(f"`{other}`" for other in others), does(option))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table() -> str:
    """All options, in Markdown."""
    resume = (
        "| `-c FILE` | `--conf` | read a configuration file |\n"
        "| `--resume FILE` | | the same, and go on at the end of the output file; of a `paused.conf` of ours: exactly "
        "where it was |\n"
    )
    return _HEAD + resume + "".join(f"{row}\n" for row in rows())


def nmap() -> str:
    """The options of nmap's, each with what it does here."""
    by_name = {name: option for option in OPTIONS for name in option.names}
    lines = []
    for name in NMAP:
        if name == "resume":
            lines.append(("--resume", "go on with a paused scan"))
            continue
        option = by_name[name]
        lines.append((flag(name), does(option).replace("`", "")))
    width = max(len(name) for name, _ in lines)
    return "".join(f"{name:{width}}  {text}\n" for name, text in lines)
