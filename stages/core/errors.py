"""Errors: whose fault, whether to retry, and the exit code.

    LonglineError
    +- UsageError            the user's input; names the place and the value; exit 2
    |  +- ListError          a line of a list file
    |  +- SettingError       a key of the configuration
    +- HostError             this host cannot (yet): permission, descriptors, disk; exit 1
    |  +- MissingCapability  names the capability and what works without it
    |  +- Confined           LONGLINE_CONFINE forbids sending there
    |  +- Ordered            a standing order says to send nothing; exit 75
    |  +- ReaderGone         nobody reads our output any more; exit 141 and not a word
    +- Unavailable           broker or database out of reach; retry
    +- RecordError           one record is bad: to the dead letters with its reason; the stage goes on
    +- Fused                 too many dead letters: the stage stops
    +- Interrupted           a signal; exit 128 + its number

Foreign exceptions are mapped to these once, at the boundary where the foreign library is called.
"""

from __future__ import annotations

from typing import ClassVar

from stages.core.outcome import DeadReason


class LonglineError(Exception):
    """Base of all errors that Longline raises on purpose."""

    exit_code: ClassVar[int] = 1
    retry: ClassVar[bool] = False
    quiet: ClassVar[bool] = False  #: the exit code says it all


class UsageError(LonglineError):
    """The user's input is wrong: `place` (option, file:line) and `value` are in the message."""

    exit_code = 2

    def __init__(self, place: str, value: object, problem: str) -> None:
        super().__init__(f"{place}: {value!r}: {problem}" if value is not None else f"{place}: {problem}")
        self.place = place
        self.value = value
        self.problem = problem


class ListError(UsageError):
    """A line of a list file cannot be read."""

    def __init__(self, file: str, line: int, value: str, problem: str) -> None:
        super().__init__(f"{file}:{line}", value, problem)
        self.file = file
        self.line = line


class SettingError(UsageError):
    """A key of the configuration is unknown or its value is wrong."""


class HostError(LonglineError):
    """This host cannot do it: no permission, no descriptors, disk full, interface down."""


class MissingCapability(HostError):
    """A capability is missing; says which, and what works without it."""

    def __init__(self, capability: str, purpose: str, instead: str) -> None:
        super().__init__(f"{purpose} needs {capability}, which this process does not have; {instead}")
        self.capability = capability


class Confined(HostError):
    """LONGLINE_CONFINE is set and the destination is neither loopback nor inside a simulated network."""


class Ordered(HostError):
    """A standing order says to send nothing (`longline stop`): to be done again when it is lifted."""

    exit_code = 75  #: sysexits(3) EX_TEMPFAIL

    def __init__(self, what: str, order: str, name: str | None) -> None:
        """`order`: as people read it; `name`: as it is typed, None: it was lifted meanwhile."""
        lift = "the same command goes on" if name is None else f"longline stop --lift {name} lifts it"
        super().__init__(f"{what}: {order}; {lift}")


class ReaderGone(HostError):
    """Nobody reads our output any more: `longline scan ... | head`. Not a fault; there is nobody left to tell."""

    exit_code = 141  #: as a shell shows a death by SIGPIPE
    quiet = True


class Unavailable(LonglineError):
    """The broker or the database cannot be reached now; what was not acknowledged is tried again."""

    retry = True


class RecordError(LonglineError):
    """One record is bad. It goes to the dead letters with `reason`; the stage goes on."""

    def __init__(self, reason: DeadReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Fused(LonglineError):
    """Too many of the last records were dead: the stage stops before it empties a topic into the dead letters."""


class Interrupted(LonglineError):
    """Stopped by a signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum
