"""Rules in tlsgrab: files and shipped sets read, records judged.

A set that is shipped is called by its name, a file by its path, which has a dot or a slash in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stages.core.errors import UsageError
from stages.core.outcome import Outcome, Phase
from stages.core.records import Hit, Tls
from stages.proto.rules.fields import Seen
from stages.proto.rules.rulefile import MAX_FILE, Rule, RuleError, parse_rules
from stages.proto.rules.ruleset import RuleSet
from stages.proto.tls.names import VERSIONS
from stages.tlsgrab.attempts import Attempt

if TYPE_CHECKING:
    from stages.proto.tls.hello import HelloSpec

_OPTION: Final = "--rules"
_SHIPPED: Final = "stages.proto.rules"
_VERSIONS: Final = {name: code for code, name in VERSIONS.items()}
_HIT_FIELDS: Final = tuple(each.name for each in fields(Hit))

#: Ends of a handshake that show somebody who may answer another hello.
_UNWILLING: Final = frozenset({Outcome.RESET, Outcome.EMPTY})


def shipped() -> dict[str, str]:
    """name -> text of the sets that come with the program."""
    folder = resources.files(_SHIPPED) / "shipped"
    return {
        file.name.removesuffix(".toml"): file.read_text("utf-8")
        for file in sorted(folder.iterdir(), key=lambda each: each.name)
        if file.name.endswith(".toml")
    }


def read_rules(names: Iterable[str], option: str = _OPTION) -> RuleSet:
    """All rules of these files and sets. Raises UsageError with file, line and key."""
    rules: list[Rule] = []
    for name in names:
        try:
            rules += parse_rules(_text_of(name, option))
        except RuleError as error:
            key = f"{error.key}: " if error.key else ""
            raise UsageError(f"{name}:{error.line}", error.value, key + error.problem) from None
    try:
        return RuleSet(rules)
    except ValueError as error:
        raise UsageError(option, ",".join(names), str(error)) from None


def _text_of(name: str, option: str) -> str:
    if "." not in name and "/" not in name:
        sets = shipped()
        if name not in sets:
            raise UsageError(option, name, f"no such set; shipped are {', '.join(sets)}; a file is ./{name}")
        return sets[name]
    try:
        with Path(name).open("rb") as file:
            data = file.read(4 * MAX_FILE + 1)  # a character has four bytes at most
    except OSError as error:
        raise UsageError(option, name, error.strerror or str(error)) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{name}:{line}", None, "not UTF-8") from None


class Judge:
    """A set of rules over records."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules

    @property
    def hellos(self) -> Mapping[str, HelloSpec]:
        """That are to be sent beside the usual one, by name."""
        return self.rules.hellos

    def judge(self, record: Tls, leaf: bytes | None = None) -> list[str]:
        """The names of the rules that hold of a record. `leaf`: DER, where the record holds only its hash."""
        return self.rules.judge(seen_of(record, leaf), record.hello)


def judge_of(names: Iterable[str], mode: str) -> Judge | None:
    """The judge of `--rules`, None for none. Raises UsageError."""
    names = tuple(names)
    if not names:
        return None
    judge = Judge(read_rules(names))
    if judge.hellos and mode in ("full", "jarm"):
        rule = next(rule for rule in judge.rules.rules if rule.hello is not None)
        raise UsageError(
            _OPTION, ",".join(names), f"rule {rule.name} has a hello of its own; mode {mode} sends its own"
        )
    return judge


def seen_of(record: Tls, leaf: bytes | None = None) -> Seen:
    """What a record says. Its free object `server_hello` may hold anything, and is not trusted."""
    hello = record.server_hello or {}
    extensions = hello.get("extensions")
    session = hello.get("session_id")
    if leaf is None and record.certificates:
        leaf = record.certificates[0]
    length: int | None = len(record.chain)
    if not record.chain and (record.outcome is not Outcome.OK or record.phase is Phase.HELLO):
        length = None  # it did not come to that
    return Seen(
        at=record.ts,
        outcome=str(record.outcome),
        version=_version(record.version),
        suite=_number(hello.get("cipher_suite")),
        compression=_number(hello.get("compression")),
        session_id=len(session) // 2 if isinstance(session, str) else None,
        extensions=_numbers(extensions),
        alpn=record.alpn,
        alert=record.alert,
        ja3s=record.ja3s,
        fingerprint=record.fingerprint,
        synack=record.synack,
        jarm=record.jarm,
        chain_length=length,
        leaf=leaf,
    )


def _number(value: Any) -> int | None:
    return value if type(value) is int else None


def _numbers(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        return None
    return tuple(value)


def _version(name: str | None) -> int | None:
    """Of a name as records have it: `TLSv1.3`, `0x0305`."""
    if name is None or name in _VERSIONS:
        return _VERSIONS.get(name or "")
    try:
        return int(name, 16)
    except ValueError:
        return None


@dataclass(slots=True)
class Asking(Attempt):
    """A target that has answered the usual hello, and is asked with those of the rules."""

    left: tuple[str, ...] = ()  #: hellos yet to send
    kept: tuple[Tls, ...] = ()  #: what came of those before


def next_asking(hit: Hit, record: Tls, hellos: Iterable[str]) -> Asking | None:
    """What to send after `record`; None: all was sent, or nobody is there to answer."""
    if isinstance(hit, Asking):
        left, kept = hit.left, (*hit.kept, record)
    else:
        left, kept = tuple(hellos) if _answers(record) else (), (record,)
    if not left:
        return None
    own = {name: getattr(hit, name) for name in _HIT_FIELDS}
    followed = hit.followed if isinstance(hit, Attempt) else None
    return Asking(**own, hello=left[0], left=left[1:], kept=kept, followed=followed)


def _answers(record: Tls) -> bool:
    """Whether a TLS server is there, or one that may be."""
    if record.version is not None or record.alert is not None:
        return True
    return record.connect is not None and record.outcome in _UNWILLING and record.phase is Phase.HELLO
