"""The dialogues by name: `longline bannergrab --talk NAME`. Pure.

`Named` is what all conversations of a run have in common, as `stages.proto.banner.Script` is: the two can stand for
each other. `wait`, `send` and `wait-send` are names of a Script; here only what it must have for them is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from importlib import import_module
from typing import Final

from stages.proto.banner import Script
from stages.proto.dialogues.base import Begin, Pace, Target, Told

#: Each is a module of this package with a `begin`. They are imported when they are begun: settings want their names.
DIALOGUES: Final = (
    "http",
    "ssh",
    "esmtp",
    "identify",
)

#: Names of a Script -> whether it needs a payload, and a time to wait before it.
SCRIPTS: Final[Mapping[str, tuple[bool, bool]]] = {
    "wait": (False, False),
    "send": (True, False),
    "wait-send": (True, True),
}

NAMES: Final = (*DIALOGUES, *SCRIPTS)

#: Bytes of a target's seed.
_SEED: Final = 32


@dataclass(frozen=True, slots=True)
class Named:
    """The dialogue of that name, with every target."""

    probe: str  #: in records: its name
    pace: Pace = field(default_factory=Pace)
    secret: bytes = b""  #: what is random in a dialogue is drawn from it and the target

    #: One dialogue cannot serve every connection.
    stateless = False

    def begin(self, address: str, port: int = 0, name: str | None = None) -> Told:
        """The dialogue with one target."""
        target = f"{address} {port} {name or ''}".encode()
        seed = blake2b(target, key=self.secret[:64], digest_size=_SEED).digest()
        return begin_of(self.probe)(Target(address, port, name, seed), self.pace)


@cache
def begin_of(name: str) -> Begin:
    """How the dialogue of that name is begun."""
    begin: Begin = import_module(f"stages.proto.dialogues.{name}").begin
    return begin


def unfit(name: str, *, payload: bool, wait: bool) -> str | None:
    """Why a dialogue of that name does not go with a payload and a time to wait, or without; None: it does."""
    if name in DIALOGUES:
        given = [flag for flag, there in (("--data", payload), ("--wait", wait)) if there]
        return f"--talk {name} says its own words: no {' and no '.join(given)}" if given else None
    needs = SCRIPTS[name]
    for flag, there, needed in (("--data", payload, needs[0]), ("--wait", wait, needs[1])):
        if there != needed:
            return f"--talk {name} {'needs' if needed else 'goes without'} {flag}"
    return None


def talk_of(name: str | None, script: Script) -> Script | Named:
    """What is said: the named dialogue at the pace of the script, or the script itself."""
    if name is None or name not in DIALOGUES:
        return script
    return Named(name, Pace(script.first, script.idle, script.total), script.secret)
