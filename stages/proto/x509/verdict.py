"""A verdict: yes, no or unknown, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Is(StrEnum):
    """Whether what is asked holds. `unknown` is what cannot be told from what is at hand, and is never `no`."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said, and why."""

    holds: Is
    why: str = ""

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return {"is": str(self.holds), "why": self.why}
