"""What all connections of a run have in common: the hello, where to stop, how long to wait."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from stages.proto.tls.groups import BASE_POINTS, FRESH_RANDOM
from stages.proto.tls.hello import RANDOM, HelloSpec, Template

#: Bytes of randomness for one connection, and with fresh keys.
RANDOM_BYTES: Final = 2 * RANDOM
FRESH_RANDOM_BYTES: Final = RANDOM_BYTES + FRESH_RANDOM


class Stop(Enum):
    """Where the client has seen enough."""

    HELLO = "hello"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Script:
    """What all connections of a run have in common. Times in seconds: for the first byte, between two, in all."""

    template: Template
    stop: Stop = Stop.CERTIFICATE
    fresh: bool = False
    first: float = 10.0
    idle: float = 10.0
    total: float = 14.0

    @property
    def random_bytes(self) -> int:
        return FRESH_RANDOM_BYTES if self.fresh else RANDOM_BYTES


def script_of(spec: HelloSpec, **options: Any) -> Script:
    """The script of a hello whose key shares are base points. Raises ValueError: a share in a group without one."""
    if lacking := [group for group in spec.shares if group not in BASE_POINTS]:
        raise ValueError(f"no key share can be made in group {lacking[0]}")
    return Script(Template(spec, {group: BASE_POINTS[group] for group in spec.shares}), **options)
