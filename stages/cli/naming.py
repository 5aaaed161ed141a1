"""The name of a run that no scan has named: records from a pipe belong to it."""

from __future__ import annotations

import os
import time


def scan_name(now: float | None = None, pid: int | None = None) -> str:
    """`pipe-20261121T071000Z-4711`: when it began, and by which process."""
    moment = time.gmtime(time.time() if now is None else now)
    return f"pipe-{time.strftime('%Y%m%dT%H%M%SZ', moment)}-{os.getpid() if pid is None else pid}"
