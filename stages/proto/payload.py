"""Payload files: what to send, with the target's address filled in. Pure.

`%s` is the address of the target, every one of them; `%%` is one `%`. Every other byte, NUL and a lone `%` too, stands
for itself: the file is a template and never a format string. `GET / HTTP/1.1\r\nHost: %s\r\n\r\n` is the usual one.

The other form has ZMap's fields, `${DADDR}` (`stages.proto.template`), and no `%s`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from stages.proto.template import Template

#: A payload goes out with one send(2) and is kept once for each connection that waits for room: a larger file is a
#: mistake in the command line.
MAX_PAYLOAD_BYTES: Final = 1_048_576

_TOKEN: Final = re.compile(rb"%([s%])")


@dataclass(frozen=True, slots=True)
class Payload:
    """A parsed payload: the address goes between the `pieces` of the `template`."""

    template: bytes
    pieces: tuple[bytes, ...]
    fields: Template | None = None  #: the other form: then `pieces` is empty

    @classmethod
    def parse_fields(cls, template: bytes) -> Payload:
        """A file with `${...}` in it. Raises ValueError for a field that there is not, or when it is too large."""
        fields = Template.parse(template)
        if fields.max_length > MAX_PAYLOAD_BYTES:
            raise ValueError(f"{fields.max_length} bytes, at most {MAX_PAYLOAD_BYTES}")
        constant = fields.constant
        return cls(template, (), fields) if constant is None else cls(template, (constant,))

    @classmethod
    def parse(cls, template: bytes) -> Payload:
        """Raises ValueError when the template is larger than MAX_PAYLOAD_BYTES."""
        if len(template) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"{len(template)} bytes, at most {MAX_PAYLOAD_BYTES}")
        pieces: list[bytes] = []
        piece = b""
        position = 0
        for token in _TOKEN.finditer(template):
            piece += template[position : token.start()]
            position = token.end()
            if token[1] == b"%":
                piece += b"%"
            else:
                pieces.append(piece)
                piece = b""
        pieces.append(piece + template[position:])
        return cls(template, tuple(pieces))

    @property
    def constant(self) -> bytes | None:
        """The bytes, if they are the same for every target."""
        return self.pieces[0] if len(self.pieces) == 1 else None

    @property
    def max_length(self) -> int:
        """Bytes of what is sent to an IPv4 address, at most."""
        return len(self.render("255.255.255.255")) if self.fields is None else self.fields.max_length

    def render(self, address: str) -> bytes:
        """The bytes to send to `address`. Not for the form with fields, which takes more than that to render."""
        if len(self.pieces) == 1:
            return self.pieces[0]
        return address.encode("ascii").join(self.pieces)
