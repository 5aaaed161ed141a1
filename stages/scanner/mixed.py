"""A mixed scan's frames, its kernel filter and its reading: each module's own, put together.

A batch of positions is split by the part that each belongs to; each part's kernel fills rows of its own, and they are
copied to where their positions stand in the batch. What comes in is shown to every part in turn; each looks for the
targets of its answers among its own ports only. A scan of one module comes by none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stages.net import bpf
from stages.scanner import order as orders
from stages.scanner.frames import Constants, FrameBuilder
from stages.scanner.order import Order
from stages.scanner.parts import SHIFT
from stages.scanner.permutation import Permutation
from stages.scanner.probes.base import ProbeModule
from stages.scanner.space import Space

_SHIFT: Final = np.uint64(SHIFT)
_PORT: Final = np.uint64((1 << SHIFT) - 1)


@dataclass(frozen=True, slots=True)
class Module:
    """A part of a mixed scan with its probe module loaded."""

    probe: ProbeModule
    ports: tuple[int, ...]


class Reading(NamedTuple):
    """What it takes to read the answers of one part."""

    probe: ProbeModule
    order: Order  #: knows the part's ports only, by their numbers
    constants: Constants


def joined(modules: Sequence[Module]) -> ProbeModule:
    """What stands for all of them where a scan asks for its probe module: the largest frame, and the filter that keeps
    what any of them would. It fills and reads nothing."""
    first = modules[0].probe
    return replace(
        first,
        max_length=max(module.probe.max_length for module in modules),
        lengths=True,
        data=any(module.probe.data for module in modules),
        stamp_at=None,
        filter=lambda source_ports: bpf.either([module.probe.filter(source_ports) for module in modules]),
    )


def frame_bytes(modules: Sequence[Module]) -> float:
    """Bytes of a frame without a VLAN tag, on average over the targets; where a module's differ, its largest."""
    ports = sum(len(module.ports) for module in modules)
    return sum(module.probe.max_length * len(module.ports) for module in modules) / ports


class MixedFrames(FrameBuilder):
    """Fills rows for the positions of a mixed scan; to all others it is a FrameBuilder."""

    def __init__(
        self, modules: Sequence[Module], space: Space, permutation: Permutation, secret: bytes, **more: Any
    ) -> None:
        """`space` of slots; `more` as FrameBuilder takes it."""
        order = more.pop("order", None)
        order = orders.build(permutation, space) if order is None else order
        super().__init__(space, permutation, joined(modules), secret, order=order, **more)
        own = {**more, "blocks": 1}
        own.pop("allocate", None)
        self._parts = [
            FrameBuilder(space.of_ports(module.ports), permutation, module.probe, secret, order=order, **own)
            for module in modules
        ]
        self._turns = np.arange(self._probes)

    def write(
        self,
        address: npt.NDArray[np.uint64],
        port: npt.NDArray[np.uint64],
        milliseconds: int = 0,
        attempt: int = 0,
        block: int = 0,
    ) -> int:
        """As `fill`, for these targets; `port` has slots, and ports when it returns."""
        self.frames, _ = self._by_block[block]
        assert self.lengths is not None
        number = port >> _SHIFT
        port &= _PORT
        for k, part in enumerate(self._parts):
            which = np.flatnonzero(number == k)
            if not which.size:
                continue
            rows = part.write(address[which], port[which], milliseconds, attempt)
            at = (which[:, None] * self._probes + self._turns).ravel()
            self.frames[at, : part.frames.shape[1]] = part.frames[:rows]
            self.lengths[at] = part.length if part.lengths is None else part.lengths[:rows]
        return address.size * self._probes

    def readings(self) -> list[Reading]:
        """How the answers are read, part by part."""
        index = self._order.port_index
        size = 1 << SHIFT
        return [
            Reading(part.probe, self._order._replace(port_index=index[k * size : (k + 1) * size]), part.constants)
            for k, part in enumerate(self._parts)
        ]
