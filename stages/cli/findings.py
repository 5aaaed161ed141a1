"""What `longline doctor` makes of what it found. Pure, but for `clock_state`, which asks the kernel."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

State = Literal["pass", "warn", "FAIL"]
GOOD: Final = "pass"
WARN: Final = "warn"
FAIL: Final = "FAIL"

#: capability(7): linux/capability.h.
_CAP_NET_ADMIN: Final = 12
_CAP_NET_RAW: Final = 13

#: Connections that a worker is meant for; each takes a descriptor.
ENOUGH_DESCRIPTORS: Final = 10_000

#: Seconds after which a blocklist is thought to be forgotten: opt-outs come every few weeks.
OLD_BLOCKLIST: Final = 30 * 86_400
_DAY: Final = 86_400

#: adjtimex(2): the clock is not synchronised.
TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 512  # more than any struct timex


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one check."""

    state: State
    check: str
    text: str
    mend: str = ""  #: what to do about it

    @property
    def line(self) -> str:
        mend = f"\n     {self.mend}" if self.mend and self.state != GOOD else ""
        return f"{self.state} {self.check}: {self.text}{mend}"

    def shown(self) -> dict[str, Any]:
        return asdict(self)


def privileges(capabilities: int) -> Finding:
    """Of capabilities as bits."""
    missing = [
        name
        for bit, name in ((_CAP_NET_RAW, "CAP_NET_RAW"), (_CAP_NET_ADMIN, "CAP_NET_ADMIN"))
        if not capabilities >> bit & 1
    ]
    if not missing:
        return Finding(GOOD, "privileges", "packets, and going on with connections")
    if "CAP_NET_RAW" in missing:
        mend = "as root, or setcap cap_net_raw,cap_net_admin+ep on the interpreter; --engine connect needs none"
        return Finding(WARN, "privileges", f"no {' and no '.join(missing)}: no packets", mend)
    mend = "setcap cap_net_raw,cap_net_admin+ep on the interpreter"
    return Finding(WARN, "privileges", "packets, but no CAP_NET_ADMIN: no --grab, --hold, --via", mend)


def descriptors(hard: int) -> Finding:
    """Of the hard limit."""
    if hard >= ENOUGH_DESCRIPTORS:
        return Finding(GOOD, "descriptors", f"{hard}")
    text = f"{hard}: so many connections at once at most"
    return Finding(WARN, "descriptors", text, "LimitNOFILE=, or ulimit -Hn, of whoever starts it")


def clock(state: int | None) -> Finding:
    """Of what adjtimex(2) returns; None: it cannot be asked."""
    if state is None:
        return Finding(WARN, "clock", "nobody can be asked whether it is right", "see to it that it is")
    if state == TIME_ERROR:
        mend = "run chrony or systemd-timesyncd: hits age by the clock, and hosts compare their times"
        return Finding(WARN, "clock", "not synchronised", mend)
    return Finding(GOOD, "clock", "synchronised")


def clock_state() -> int | None:
    """What adjtimex(2) says; nothing is adjusted."""
    if sys.platform != "linux":
        return None
    import ctypes

    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else int(state)


def blocklist(name: str, age: float) -> Finding:
    """Of a file that is there; `age` in seconds."""
    days = f"{name}, {age / _DAY:.0f} days old"
    if age <= OLD_BLOCKLIST:
        return Finding(GOOD, "blocklist", days)
    return Finding(WARN, "blocklist", days, "has really nobody asked to be left alone since?")
