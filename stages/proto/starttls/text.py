"""Preludes made of lines: we say something, the server answers with lines of which one is the last, and so on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stages.proto.starttls.prelude import MAX_PRELUDE_BYTES, StarttlsError


@dataclass(frozen=True, slots=True)
class Step:
    """One turn."""

    say: bytes  #: b"": the server speaks without being asked
    last: re.Pattern[bytes]  #: matches the last line of the answer, without its end
    good: re.Pattern[bytes]  #: and this one where we may go on
    offers: re.Pattern[bytes] | None = None  #: some line must match, or TLS is not offered


class TextPrelude:
    """Walks through the steps."""

    __slots__ = ("_at", "_data", "_lines", "_size", "_steps", "ready")

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._at = 0
        self._data = b""
        self._size = 0  # of everything that came
        self._lines: list[bytes] = []
        self.ready = False

    def opening(self) -> bytes:
        return self._steps[0].say

    def receive(self, data: bytes) -> bytes:
        self._data += data
        self._size += len(data)
        if self._size > MAX_PRELUDE_BYTES:
            raise StarttlsError(
                f"more than {MAX_PRELUDE_BYTES} bytes before TLS", self._lines[0] if self._lines else data
            )
        said = b""
        while not self.ready and b"\n" in self._data:
            line, _, self._data = self._data.partition(b"\n")
            line = line.removesuffix(b"\r")
            self._lines.append(line)
            if self._steps[self._at].last.match(line):
                said += self._answered(line)
        return said

    def _answered(self, line: bytes) -> bytes:
        step = self._steps[self._at]
        if not step.good.match(line):
            asked = step.say.split()[0].decode("ascii") if step.say else "the greeting"
            raise StarttlsError(f"{asked} was not answered as it should be", line)
        if step.offers is not None and not any(map(step.offers.search, self._lines)):
            raise StarttlsError("TLS is not offered", line)
        self._lines.clear()
        self._at += 1
        if self._at == len(self._steps):
            self.ready = True
            return b""
        return self._steps[self._at].say

    @property
    def rest(self) -> bytes:
        return self._data


def step(say: str, last: str, good: str, offers: str | None = None) -> Step:
    """A step out of regular expressions; case does not count."""

    def compiled(pattern: str) -> re.Pattern[bytes]:
        return re.compile(pattern.encode("ascii"), re.IGNORECASE)

    return Step(say.encode("ascii"), compiled(last), compiled(good), compiled(offers) if offers else None)
