"""A process without memory: it ends at once.

Whatever it does next may fail half-way, its own clean-up and a client library's too, and a record that met the shortage
is no bad record. An end at any point is what a stage is made for: what was not acknowledged is done again at the next
start. The kernel's OOM killer does the same, without a word.
"""

from __future__ import annotations

import os
from typing import Any, Final

from stages.core.errors import HostError

#: Made beforehand: there may be no memory to make it.
_WORDS: Final = b"longline: no memory is left; what was not acknowledged is done again at the next start\n"


def leave_if_starved(error: BaseException | None) -> None:
    """Return unless `error` says that there is no memory."""
    if isinstance(error, MemoryError):
        try:
            os.write(2, _WORDS)
        finally:
            os._exit(HostError.exit_code)


def on_loop_error(loop: Any, context: dict[str, Any]) -> None:
    """For `loop.set_exception_handler`: an error that no task awaits, as a client library's callbacks leave them."""
    leave_if_starved(context.get("exception"))
    loop.default_exception_handler(context)
