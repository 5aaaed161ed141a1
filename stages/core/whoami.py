"""Who runs this, for a record that somebody may ask for years later; and the one line that such a record holds."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from typing import Annotated, Final

import pydantic

#: Characters of one line of a record: a ticket, the number of a board's decision, a name.
MAX_LINE: Final = 500


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("one line of printable characters")
    return text.strip()


#: Free text of one line.
Line = Annotated[str, pydantic.Field(max_length=MAX_LINE), pydantic.AfterValidator(_one_line)]


def operator(environ: Mapping[str, str] = os.environ) -> str:
    """`user@host`; of one who became root by sudo, the user that did."""
    uid = os.getuid()
    sudo = environ.get("SUDO_USER", "") if uid == 0 else ""
    try:
        name = sudo if sudo.isprintable() and sudo else pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's number without a name
        name = f"uid {uid}"
    return f"{name}@{socket.gethostname()}"[:MAX_LINE]
