"""The registry of probe modules: one line each. A module's file (and so numba) is imported when it is asked for.

Others add modules from their own packages: an entry point of the group `longline.probes` whose name is the module's
and whose object is an `Entry`. Its own file is imported then; what the `Entry` names only when it is used.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stages.scanner.probes.base import ProbeModule

#: Entry points of other packages.
GROUP: Final = "longline.probes"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a probe module without loading it."""

    file: str  #: module with a function `module(args) -> ProbeModule`
    fields: str  #: its own output fields: `package.module:NAME` of a tuple of `stages.scanner.fields.Field`
    ports: bool = True  #: False: `-p` is refused
    transport: str = "tcp"  #: of its hits: tcp | udp | icmp


_FILES: Final = "stages.scanner.probes."
_TCP, _UDP = "stages.scanner.fields:", "stages.scanner.payload_fields:"

REGISTRY: Final = {
    "tcp_synscan": Entry(_FILES + "tcp_synscan", _TCP + "TCP_FIELDS"),
    "tcp_synackscan": Entry(_FILES + "tcp_synackscan", _TCP + "TCP_FIELDS"),
    "icmp_echoscan": Entry(_FILES + "icmp_echoscan", _TCP + "ECHO_FIELDS", ports=False, transport="icmp"),
    "icmp_echo_time": Entry(_FILES + "icmp_echo_time", _TCP + "ECHO_TIME_FIELDS", ports=False, transport="icmp"),
    "udp": Entry(_FILES + "udp", _UDP + "UDP_FIELDS", transport="udp"),
    "dns": Entry(_FILES + "dns", _UDP + "DNS_FIELDS", transport="udp"),
    "ntp": Entry(_FILES + "ntp", _UDP + "NTP_FIELDS", transport="udp"),
    "upnp": Entry(_FILES + "upnp", _UDP + "UPNP_FIELDS", transport="udp"),
}

#: Ours.
NAMES: Final = tuple(REGISTRY)


@cache
def _others() -> dict[str, EntryPoint]:
    """Entry points by name, not loaded. Ours win over others of the same name."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in REGISTRY}


def names() -> tuple[str, ...]:
    """All modules that there are, ours first."""
    return (*REGISTRY, *_others())


@cache
def entry(name: str) -> Entry:
    """What is known of a module. Raises ValueError for one that there is not, or that cannot be loaded."""
    if name in REGISTRY:
        return REGISTRY[name]
    point = _others().get(name)
    if point is None:
        raise ValueError(f"unknown probe module {name!r}; there are {', '.join(names())}")
    try:
        found = point.load()
    except Exception as error:  # whatever another package's file does
        raise ValueError(f"probe module {name!r} ({point.value}) cannot be loaded: {error}") from error
    if not isinstance(found, Entry):
        raise ValueError(f"probe module {name!r}: {point.value} is no stages.scanner.probes.Entry")
    return found


def get(name: str, args: str | None = None) -> ProbeModule:
    """The probe module `name` with `--probe-args` applied.

    Raises ValueError for an unknown name or bad arguments, OSError where the template cannot be built or a file of the
    arguments cannot be read.
    """
    module: ProbeModule = importlib.import_module(entry(name).file).module(args or "")
    return module
