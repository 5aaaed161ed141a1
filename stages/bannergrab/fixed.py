"""A script in the form that is compiled with the engine of continued connections, where it has one."""

from __future__ import annotations

from stages.net.continuation import Fixed
from stages.proto.banner import Script
from stages.proto.dialogues.registry import Named


def fixed_of(script: Script | Named, max_bytes: int) -> Fixed | None:
    """None: it says something else to each, or listens for what it reads."""
    if not isinstance(script, Script) or script.until is not None:
        return None
    constant = b"" if script.payload is None else script.payload.constant
    if constant is None:
        return None
    return Fixed(constant, script.wait, script.first, script.idle, script.total, max_bytes)
