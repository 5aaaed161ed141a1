"""docs/from-zmap.md from the code: `python -m tests.docs.from_zmap` writes it, a test holds it to what it says."""

from __future__ import annotations

import argparse
from typing import Final

from stages.cli.main import Parser
from stages.cli.scan import SECTIONS as OF_SCAN
from stages.cli.scan import add_arguments
from stages.cli.sections import SECTIONS
from stages.scanner.fields import OLD_NAMES
from stages.scanner.zmap_options import OPTIONS
from tests.docs.blocks import ROOT
from tests.docs.reference import cell, code, shown, table

FILE: Final = ROOT / "docs" / "from-zmap.md"

_HEAD: Final = """\
# For those who come from ZMap

Written by `python -m tests.docs.from_zmap` from the code; a test holds it to what the code says.

`alias zmap='longline scan'`: options, output and configuration files are what ZMap's manuals promise, 4 and older ones,
and where ZMap does otherwise than its manual says, the manual holds. Bad input ends with exit code 2 (ZMap: 1) before
anything is sent or a file changed; SIGINT and SIGTERM end a scan in order, with the cooldown and whole files.

```sh
alias zmap='longline scan'
zmap -p 80 -r 10000 -o results.csv 10.0.0.0/16
zmap -p 80 -q -O json -f saddr,classification,ttl --output-filter 'success = 1 && ttl < 65' 10.0.0.0/16 > open.jsonl
zmap -p 80 -q 10.0.0.0/16 | longline tee all.csv | longline bannergrab -p 80 -d http-req > banners.jsonl
```

`zblocklist` is `longline blocklist`, `ziterate` is `longline iterate`, `ztee` is `longline tee`; each takes the options
of its model. `longline completion bash` (`zsh`, `fish`) prints what a shell needs to complete all of them.

## Files of the system

`/etc/zmap/zmap.conf` is read below all other settings, and the block lists that it names hold whatever else is said; so
do those of `/etc/longline/longline.toml`, and `/etc/longline/blocklist.conf`. Each is named in the log.
`--no-system-config`, or `LONGLINE_NO_SYSTEM_CONFIG=1`, leaves them alone. They have no say where no packet can leave
this machine: under `LONGLINE_CONFINE=1` and in a simulated network, whose addresses are those that such lists are made
of. `-C FILE` reads one's own file of that kind; the command line wins over it.

## Filters

`--output-filter` takes ZMap's language: `=` (or `==`), `!=`, `<`, `>`, `<=`, `>=`, `&&`, `||`, parentheses. Besides:
text in quotes, `saddr in 10.0.0.0/8`, `sport in (80, 443, 8000-8100)`, `!`, `true` and `false`, and `tcpopt_mss = null`
for what an answer does not have. Any other comparison with what is not there is false. Mistakes are shown before the
scan begins, with a caret under them.

## Options
"""


def settings_of_scan() -> dict[str, tuple[str, str]]:
    """flag -> (section, field)."""
    return {
        flag: (name, field)
        for name in OF_SCAN
        for field in SECTIONS[name].model_fields
        for flag in SECTIONS[name].option(field).flags
    }


def parser() -> argparse.ArgumentParser:
    """Of `longline scan`."""
    made = Parser(prog="longline scan", allow_abbrev=False)
    made.add_argument("-V", "--version", action="version", version="")
    add_arguments(made)
    return made


def ours(flag: str) -> str:
    """The default here."""
    place = settings_of_scan().get(flag)
    if place is None:
        return ""
    default = SECTIONS[place[0]].model_fields[place[1]].default
    return "" if default is False else shown(default)


def text() -> str:
    rows = (
        (
            " ".join(map(code, known.flags.split())),
            code(known.theirs) if known.theirs else "",
            ours(known.flags.split()[-1]) if known.flags != "--no-header-row" else "",
            cell(known.difference),
        )
        for known in OPTIONS
    )
    old = ((code(name), code(now)) for name, now in OLD_NAMES.items())
    return (
        _HEAD + "\n" + "\n".join(table(("option", "default of ZMap", "default here", "difference"), rows))
        + "\n## Names of fields\n\nA `-` in a name is a `_`. Older manuals' names:\n\n"
        + "\n".join(table(("name", "now"), old)).rstrip("\n") + "\n"
    )  # fmt: skip


if __name__ == "__main__":
    FILE.write_text(text())
