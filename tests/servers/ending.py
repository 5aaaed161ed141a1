"""No server outlives pytest."""

from __future__ import annotations

import ctypes
import signal
from typing import Final

#: prctl(2)
_PR_SET_PDEATHSIG: Final = 1


def die_with_parent() -> None:
    """In the child: be killed when the thread that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
