"""dns: one DNS question a probe; the message that answers it is read into fields.

`--probe-args` are questions, `TYPE,NAME;TYPE,NAME`; `TYPE:nr` asks without desiring recursion. The probes to a target
(`-P`, and repeated ones) ask them in turn. An answer must come to the right port with the id of the question; it is a
success if it repeats the question.
"""

from __future__ import annotations

from typing import Final

from stages.proto.cookie import Cookie
from stages.proto.dns import HEADER_BYTES, Question, parse_questions
from stages.proto.payloads import First
from stages.proto.template import Field, Template
from stages.scanner.fields import own_names
from stages.scanner.probes import datagram
from stages.scanner.probes.base import ProbeModule
from stages.scanner.probes.datagram_plan import Payloads

NAME: Final = "dns"

#: Asked where nothing else is said: who serves the root, which every server knows.
DEFAULT: Final = (Question(".", 2),)
#: The id is the first of the message, and random.
_ID_BYTES: Final = 2


def module(args: str) -> ProbeModule:
    """Raises ValueError for what is no question."""
    return datagram.build(NAME, args, own_names(NAME), payloads_of(args))


def payloads_of(args: str) -> Payloads:
    """The questions, one a probe. Raises ValueError."""
    return Payloads(tuple(map(_first, parse_questions(args) if args else DEFAULT)), {})


def _first(question: Question) -> First:
    template = Template((Field("RAND_BYTE", _ID_BYTES), question.body()))
    return First(NAME, (), template, Cookie(0, 0), question.section(), HEADER_BYTES)
