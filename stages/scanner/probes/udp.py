"""udp: one datagram; a datagram back is a success, an ICMP error an answer.

`--probe-args`:

    text:...  hex:...  file:...    these bytes to every port
    template:FILE                  a template (`stages.proto.template`)
    payloads, or nothing           to each port what makes its usual service answer (`stages.proto.payloads`)
    payloads:FILE                  the same, and before it what an nmap-payloads file or a capture has (`payload_table`)
"""

from __future__ import annotations

from typing import Final

from stages.proto import payloads, ready
from stages.proto.payloads import First
from stages.proto.template import Template
from stages.scanner.fields import own_names
from stages.scanner.probes import datagram, payload_table
from stages.scanner.probes.base import ProbeModule
from stages.scanner.probes.datagram_plan import Payloads
from stages.scanner.probes.payload_args import literal, split

NAME: Final = "udp"
FORMS: Final = "text:..., hex:..., file:..., template:..., payloads or payloads:FILE"
TABLE: Final = "payloads"


def module(args: str) -> ProbeModule:
    """Raises ValueError (unknown form or field, bad hex, too long), OSError (a file)."""
    return datagram.build(NAME, args, own_names(NAME), payloads_of(args))


def payloads_of(args: str) -> Payloads:
    """What is sent to which port. Raises as `module`."""
    usual = {port: (first,) for port, first in payloads.BY_PORT.items()}
    if args in ("", TABLE):
        return Payloads((payloads.OTHER,), usual)
    form, value = split(NAME, args, FORMS)
    if form == TABLE:
        return Payloads((payloads.OTHER,), usual | _of_file(value))
    raw = literal(form, value)
    if raw is None and form != "template":
        raise ValueError(f"{NAME} takes {FORMS}, not {args!r}")
    template = Template.literal(raw) if raw is not None else Template.parse(ready.read(value))
    return Payloads((First(form, (), template),), {})


def _of_file(file: str) -> dict[int, tuple[First, ...]]:
    try:
        table = payload_table.read(ready.read(file))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return {port: (First("file", (port,), Template.literal(payload)),) for port, payload in table.items()}
