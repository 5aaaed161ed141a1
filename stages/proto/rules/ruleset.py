"""Rules together: the hellos that they need, and which of them hold of a handshake. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from stages.proto.rules.fields import Seen
from stages.proto.rules.hellos import PREFIX
from stages.proto.rules.rulefile import Rule
from stages.proto.tls.hello import HelloSpec

#: Different hellos of one run: each costs one more connection to every target that speaks TLS.
MAX_HELLOS: Final = 8


class RuleSet:
    """`hellos`: by name, in the order of the rules."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Raises ValueError: two rules of one name, or too many hellos."""
        self.rules = tuple(rules)
        names: set[str] = set()
        hellos: dict[str, HelloSpec] = {}
        by_hello: dict[str, list[Rule]] = {}
        for rule in self.rules:
            if rule.name in names:
                raise ValueError(f"two rules are called {rule.name!r}")
            names.add(rule.name)
            if rule.hello is not None:
                hellos.setdefault(rule.hello.name, rule.hello)
            by_hello.setdefault("" if rule.hello is None else rule.hello.name, []).append(rule)
        if len(hellos) > MAX_HELLOS:
            raise ValueError(f"{len(hellos)} different hellos, at most {MAX_HELLOS}")
        self.hellos: Mapping[str, HelloSpec] = hellos
        self._by_hello = by_hello

    def of(self, hello: str | None) -> list[Rule]:
        """The rules that an answer to `hello` decides: those with that hello, or all those without one."""
        return self._by_hello.get(hello if hello is not None and hello.startswith(PREFIX) else "", [])

    def judge(self, seen: Seen, hello: str | None) -> list[str]:
        """The names of those that hold."""
        return [rule.name for rule in self.of(hello) if rule.holds(seen)]
