"""A file of rules: TOML in, rules out, or what is wrong with it, with line and key. Pure.

    [[rule]]
    name = "acme-router"
    about = "Web interface of Acme's routers"
    when = ["self signed", "subject O == 'Acme, Inc.'", 'subject CN matches acme-[0-9a-f]{12}']

    [rule.hello]               # only where a hello of its own is to be sent (`hellos`)
    versions = ["tls1.2"]
    suites = ["0x0039"]

A rule holds if all its conditions do (`terms`). One without a hello is judged by the answer to the usual one.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any, Final

from stages.proto.rules.fields import Seen
from stages.proto.rules.hellos import HelloError, hello_of
from stages.proto.rules.place import Path, line_of
from stages.proto.rules.terms import Term, term
from stages.proto.tls.hello import HelloSpec

#: Characters of a file: thousands of rules of some hundred.
MAX_FILE: Final = 256 * 1024
MAX_RULES: Final = 2_000
#: Conditions of one rule.
MAX_TERMS: Final = 64
#: Characters of what a rule says about itself.
MAX_ABOUT: Final = 1_000

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_KEYS: Final = ("name", "about", "when", "hello")
_WHERE: Final = re.compile(r"^(.*) \(at (?:line (\d+), column \d+|end of document)\)$", re.DOTALL)


class RuleError(ValueError):
    """What is wrong with a file: `line` from 1, `key` as `rule[2].when[0]` or "", the `value` and the `problem`."""

    def __init__(self, line: int, key: str, value: object, problem: str) -> None:
        super().__init__(f"line {line}: {key}: {value!r}: {problem}")
        self.line = line
        self.key = key
        self.value = value
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    name: str
    about: str
    terms: tuple[Term, ...]  #: the dear ones last
    hello: HelloSpec | None = None  #: None: the usual one

    def holds(self, seen: Seen) -> bool:
        """Whether all conditions do, by the answer to its hello."""
        return all(each.holds(seen) is True for each in self.terms)


class _Problem(Exception):
    """Somewhere in the file, not yet by its line."""

    def __init__(self, path: Path, value: object, problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.value = value
        self.problem = problem


def parse_rules(text: str) -> list[Rule]:
    """Raises RuleError."""
    if len(text) > MAX_FILE:
        raise RuleError(1, "", f"{len(text)} characters", f"at most {MAX_FILE}")
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _WHERE.match(str(error))
        line = int(found[2]) if found is not None and found[2] else text.count("\n") + 1
        raise RuleError(line, "", None, found[1] if found is not None else str(error)) from None
    except (RecursionError, ValueError, OverflowError) as error:
        raise RuleError(1, "", None, f"cannot be read: {type(error).__name__}") from None
    try:
        return _rules(data)
    except _Problem as problem:
        raise RuleError(line_of(text, problem.path), _key(problem.path), problem.value, problem.problem) from None


def _key(path: Path) -> str:
    """`rule[2].when[0]`, counted from 1 as people do."""
    out = ""
    for step in path:
        out += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if out else step
    return out


def _rules(data: dict[str, Any]) -> list[Rule]:
    for key in data:
        if key != "rule":
            raise _Problem((key,), None, "no such key; a file has [[rule]] tables")
    tables = data.get("rule", [])
    if not isinstance(tables, list):
        raise _Problem(("rule",), None, "one rule is a [[rule]] table, with two brackets")
    if not tables:
        raise _Problem((), None, "no rule in it")
    if len(tables) > MAX_RULES:
        raise _Problem(("rule",), f"{len(tables)} rules", f"at most {MAX_RULES}")
    rules: list[Rule] = []
    names: set[str] = set()
    for place, table in enumerate(tables):
        rule = _rule(table, ("rule", place))
        if rule.name in names:
            raise _Problem(("rule", place, "name"), rule.name, "the name of another rule")
        names.add(rule.name)
        rules.append(rule)
    return rules


def _rule(table: Any, path: tuple[str | int, ...]) -> Rule:
    if not isinstance(table, dict):
        raise _Problem(path, table, "not a table")
    for key in table:
        if key not in _KEYS:
            raise _Problem((*path, key), None, f"no such key in a rule: {', '.join(_KEYS)}")
    name = table.get("name")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        where = (*path, "name") if "name" in table else path
        raise _Problem(where, name, "a rule has a name of a-z, 0-9, '.', '-' and '_', at most 64")
    about = table.get("about", "")
    if not isinstance(about, str) or len(about) > MAX_ABOUT:
        raise _Problem((*path, "about"), None, f"not a text of {MAX_ABOUT} characters at most")
    return Rule(name, about, _terms(table, path), _hello(table, path))


def _terms(table: dict[str, Any], path: tuple[str | int, ...]) -> tuple[Term, ...]:
    lines = table.get("when")
    if not isinstance(lines, list) or not lines:
        where = (*path, "when") if "when" in table else path
        raise _Problem(where, lines, "`when` is a list of conditions, one at least")
    if len(lines) > MAX_TERMS:
        raise _Problem((*path, "when"), f"{len(lines)} conditions", f"at most {MAX_TERMS}")
    terms: list[Term] = []
    for place, line in enumerate(lines):
        try:
            if not isinstance(line, str):
                raise ValueError("not a text")
            terms.append(term(line))
        except ValueError as error:
            raise _Problem((*path, "when", place), line, str(error)) from None
    return tuple(sorted(terms, key=lambda each: each.field.dear))


def _hello(table: dict[str, Any], path: tuple[str | int, ...]) -> HelloSpec | None:
    if "hello" not in table:
        return None
    hello = table["hello"]
    if not isinstance(hello, dict):
        raise _Problem((*path, "hello"), hello, "not a table")
    try:
        return hello_of(hello)
    except HelloError as error:
        where: tuple[str | int, ...] = (*path, "hello")
        if error.key in hello:
            where = (*where, error.key)
            if error.item is not None:
                where = (*where, error.item)
        raise _Problem(where, error.value, error.problem) from None
