"""A masscan command line and its configuration files, word by word, into a `Config`.

    --name value   --name=value   --name:value   -p80   -oX file   10.0.0.0/8
    name = value                                              (in a file; `#` and other punctuation begin a comment)

What is wrong is named with its place: the option, or file, line and column.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from stages.cli.masscan.config import SYSTEM_FILE, Config
from stages.cli.masscan.options import BY_NAME, EXACT, OPTIONS, Option, plain
from stages.cli.masscan.values import parse_bool
from stages.core.errors import UsageError

#: A configuration file is no longer than this.
MAX_BYTES: Final = 16 << 20

#: Files that name files: so deep, and no deeper.
_MAX_DEPTH: Final = 8

#: Values that are taken as they stand, `#` and all.
_ARRAY: Final = re.compile(r"([^\[\]]*)\[(\d{1,3})\]").fullmatch

_FILES: Final = ("c", "conf", "config")
_RESUME: Final = "resume"
_NO_SYSTEM: Final = "nosystemconfig"
#: With these the machine's own file does not count.
_NOT_A_SCAN: Final = ("readscan", "version", "help", "nmap", "regress", "selftest")


def parse_words(words: Sequence[str], *, system: str | None = SYSTEM_FILE) -> Config:
    """The configuration that a command line asks for. `system`: the machine's own file, read first where it is there.

    Raises UsageError: nothing was done yet.
    """
    config = Config()
    named = [plain(word.lstrip("-").partition("=")[0]) for word in words if word.startswith("--")]
    reads = any(name in _NOT_A_SCAN for name in named)
    if system is not None and _NO_SYSTEM not in named and not reads and Path(system).is_file():
        read_file(config, system)
        config.notes.append(f"{system}: read, for this machine; --no-system-config leaves it out")
    at = 0
    while at < len(words):
        at = _word(config, words, at)
    return config


def _word(config: Config, words: Sequence[str], at: int) -> int:
    word = words[at]
    if word.startswith("-") and len(word) > 1:
        name, value, shown = _split(word)
        option = _find(name) if name is not None else None
        if name is not None and (name in _FILES or plain(name) in (*_FILES, _RESUME)):
            value, at = _value(words, at, value, shown)
            _read_named(config, plain(name), value, shown)
            return at + 1
        if option is None:
            _unknown(shown)
        if option.takes == "value" and not option.ignored:
            value, at = _value(words, at, value, shown)
        elif value is None and option.takes != "flag" and at + 1 < len(words):
            # A value may follow: only what cannot be a target is one.
            following = words[at + 1]
            if following.isdigit() or (option.takes == "value" and not following.startswith("-")):
                value, at = following, at + 1
        apply(config, option, name or shown, "" if value is None else value, shown)
        if shown.startswith(("-vv", "-dd")):
            config.verbosity += len(shown) - 2
        if option.names[0] == "readscan":
            while at + 1 < len(words) and not words[at + 1].startswith("-"):
                at += 1
                apply(config, option, "readscan", words[at], shown)
        return at + 1
    if word[:1].isdigit() or word[:1] in ("[", ":") or _looks_like_ipv6(word):
        apply(config, BY_NAME["range"], "range", word, "target")
        return at + 1
    near = difflib.get_close_matches(plain(word), BY_NAME, n=1, cutoff=0.6)
    hint = f"; did you mean '--{BY_NAME[near[0]].names[0]}'?" if near else ""
    raise UsageError("target", word, f"no address, network or range (names are not looked up){hint}")


def _split(word: str) -> tuple[str | None, str | None, str]:
    """(name, value that stands in the same word, how the option is shown)."""
    dashes = 2 if word.startswith("--") else 1
    body = word[dashes:]
    cut = re.search(r"[=:]", body)
    name, value = (body, None) if cut is None else (body[: cut.start()], body[cut.end() :])
    if dashes == 1:
        if body[:1] == "p":
            if plain(name) in BY_NAME:  # -ports=80
                return name, value, f"-{name}"
            return "p", body[1:].removeprefix("=") or None, "-p"
        if body in EXACT:
            return body, None, word
        if set(body) in ({"v"}, {"d"}):
            return body[0], None, word
        if body[:1] == "T" and body[1:].isdigit():
            return body[:2], None, word
        if body[:2] in EXACT and plain(name) not in BY_NAME and body[:1] == "P":
            return body[:2], body[2:] or None, f"-{body[:2]}"
        if body[:1] in "cegSi" and plain(name) not in BY_NAME and len(body) > 1:
            return body[0], body[1:], f"-{body[0]}"
    return name, value, f"{'-' * dashes}{name}"


def _find(name: str) -> Option | None:
    array = _ARRAY(name)
    bare = name if array is None else array[1]
    return EXACT.get(bare) or BY_NAME.get(plain(bare))


def _unknown(shown: str) -> NoReturn:
    known = [f"--{name}" for option in OPTIONS for name in option.names if len(name) > 2]
    wanted = f"--{shown.lstrip('-')}"
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.6)
    raise UsageError(shown, None, "unknown option" + (f"; did you mean {near[0]!r}?" if near else ""))


def _value(words: Sequence[str], at: int, value: str | None, shown: str) -> tuple[str, int]:
    if value is not None:
        return value, at
    if at + 1 >= len(words):
        raise UsageError(shown, None, "needs a value")
    return words[at + 1], at + 1


def apply(config: Config, option: Option, name: str, value: str, place: str) -> None:
    """Do what an option does. Raises UsageError."""
    array = _ARRAY(name)
    if array is not None and int(array[2]):
        raise UsageError(place, value, "one interface is scanned from: only [0] is there")
    if option.refused:
        raise UsageError(place, value or None, f"not done: {option.refused}")
    if option.ignored:
        config.notes.append(f"{place}: ignored: {option.ignored}")
        return
    try:
        if option.act is not None:
            option.act(config, value)
        else:
            config.system_config = parse_bool(value) is not plain(name).startswith("no")
    except ValueError as error:
        raise UsageError(place, value, str(error)) from None


def _read_named(config: Config, name: str, value: str, shown: str) -> None:
    read_file(config, value, shown)
    if name == _RESUME:
        config.append = True
        if config.checkpoint is None and config.resume_index:
            config.notes.append(
                f"{value}: paused by masscan at {config.resume_index} of its order, which is not ours: the scan is "
                "done whole"
            )
            config.resume_index = 0


def read_file(config: Config, file: str, place: str = "-c", depth: int = 0) -> None:
    """Read a configuration file. Raises UsageError."""
    if depth > _MAX_DEPTH:
        raise UsageError(place, file, f"files name files {_MAX_DEPTH} deep")
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(place, file, error.strerror or str(error)) from None
    except ValueError as error:  # a NUL in the name
        raise UsageError(place, file, str(error)) from None
    if len(data) > MAX_BYTES:
        raise UsageError(place, file, f"more than {MAX_BYTES} bytes: not a configuration file")
    read_text(config, data, file, depth)


def read_text(config: Config, data: bytes, file: str, depth: int = 0) -> None:
    """Read the content of a configuration file. Raises UsageError that names file, line and column."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{file}:{before}", None, f"not a text in UTF-8: byte {error.start}") from None
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or not (stripped[0].isalnum() or stripped[0] == "-"):
            continue
        column = len(line) - len(line.lstrip()) + 1
        name, equals, value = line.partition("=")
        name = name.strip().lstrip("-")
        option = _find(name)
        if plain(name) in (*_FILES, _RESUME):
            read_file(config, value.strip(), f"{file}:{number}", depth + 1)
            continue
        if option is None:
            near = difflib.get_close_matches(plain(name), BY_NAME, n=1, cutoff=0.6)
            hint = f"; did you mean {BY_NAME[near[0]].names[0]!r}?" if near else ""
            raise UsageError(f"{file}:{number}:{column}", name[:80], f"unknown option{hint}")
        if not equals and option.takes == "value":
            raise UsageError(f"{file}:{number}:{column}", name[:80], "needs `= VALUE`")
        start = len(line) - len(line.partition("=")[2].lstrip()) + 1 if equals else column
        _apply_line(config, option, name, value.strip(), f"{file}:{number}:{start}")


def _apply_line(config: Config, option: Option, name: str, value: str, place: str) -> None:
    if option.names[0] == "ports" and not value:  # as masscan echoes a configuration without any
        return
    apply(config, option, name, value, place)


def _looks_like_ipv6(word: str) -> bool:
    return ":" in word and re.fullmatch(r"[0-9A-Fa-f:.,/\[\]-]+", word) is not None
