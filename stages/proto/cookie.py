"""Cookies: bytes of a datagram that the answer carries back, so that the answer can be bound to the probe. Pure.

A cookie is one random field of a template (`stages.proto.template`). Where in the answer it stands is a matter of the
protocol: at a fixed place, or anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import Final

from stages.proto.template import ALPHABETS, Field, Template, Values, render_field

#: Bytes of the longest cookie: 12 for STUN, 16 for SIP; a kernel keeps one on its stack.
MAX_COOKIE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Cookie:
    """The `number`-th random field of the template comes back at byte `at` of the answer; None: anywhere in it."""

    number: int
    at: int | None

    def field(self, template: Template) -> Field:
        """The field it is. Raises ValueError for one that there is not or that is too long."""
        randoms = template.randoms
        if self.number >= len(randoms) or randoms[self.number].length > MAX_COOKIE_BYTES:
            raise ValueError(f"random field {self.number} of the template is no cookie")
        return randoms[self.number]

    def bits(self, template: Template) -> int:
        """Bits that it is worth, rounded down."""
        field = self.field(template)
        alphabet = ALPHABETS[field.name]
        return int(field.length * (8.0 if alphabet is None else log2(len(alphabet))))

    def answers(self, template: Template, values: Values, data: bytes) -> bool:
        """Whether an answer carries it back."""
        sent = render_field(self.field(template), values)
        return sent in data if self.at is None else data[self.at : self.at + len(sent)] == sent
