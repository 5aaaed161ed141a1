"""argparse from Sections: one option per field that has flags, and what of them was typed.

Nothing is converted here: what was typed goes as text into the layers (`stages.core.layers`), so that a bad value gets
the same message wherever it stands. An option that was not typed leaves nothing in the namespace.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from stages.core.section import Option, Section

_DEST: Final = "{section}.{prefix}{field}"


def add_section(
    parser: argparse.ArgumentParser, section: type[Section], *, prefix: str = "", omit: Collection[str] = ()
) -> None:
    """Add one option per field with flags, in a group titled by the section's docstring.

    With a `prefix` ("banner") only the long flags are added, as `--banner-<flag>`: how one command takes the options
    of several stages. `omit`: names of fields that this command does not offer.
    """
    group = parser.add_argument_group(section.title())
    for name, field in section.model_fields.items():
        option = section.option(name)
        flags = _flags(option, prefix)
        if name in omit or not (flags or (option.positional and not prefix)):
            continue
        keywords: dict[str, Any] = {"default": argparse.SUPPRESS, "help": _help(option, field.default)}
        dest = _dest(section, prefix, name)
        if option.positional:
            group.add_argument(dest, nargs="*", metavar=option.metavar or name.upper(), **keywords)
            continue
        if _is(bool, field.annotation):
            group.add_argument(*flags, dest=dest, action=argparse.BooleanOptionalAction, **keywords)
            continue
        keywords["metavar"] = option.metavar or _metavar(option, field.annotation, name)
        group.add_argument(*flags, dest=dest, action="append" if option.repeat else "store", **keywords)


def given(namespace: argparse.Namespace, section: type[Section], *, prefix: str = "") -> dict[str, object]:
    """field -> value, only for what was typed; texts, lists of texts and booleans, not yet validated."""
    typed: dict[str, object] = {}
    values = vars(namespace)
    for name in section.model_fields:
        value = values.get(_dest(section, prefix, name))
        # A positional that was not typed is an empty list in spite of SUPPRESS (bpo-28734).
        if value is not None and not (section.option(name).positional and not value):
            typed[name] = tuple(value) if isinstance(value, list) else value
    return typed


def _dest(section: type[Section], prefix: str, field: str) -> str:
    return _DEST.format(section=section.__name__, prefix=f"{prefix}." if prefix else "", field=field)


def _flags(option: Option, prefix: str) -> list[str]:
    if not prefix:
        return list(option.flags)
    return [f"--{prefix}-{flag.removeprefix('--')}" for flag in option.flags if flag.startswith("--")]


def _help(option: Option, default: object) -> str:
    """The help text with its default; argparse formats it with %."""
    text = option.help
    if default not in (None, "", ()) and not option.secret and not option.positional:
        shown = {True: "yes", False: "no"}[default] if isinstance(default, bool) else default
        if isinstance(default, tuple):
            shown = ",".join(map(str, default))
        if default is not False:
            text = f"{text} (default: {shown})"
    return text.replace("%", "%%")


def _metavar(option: Option, annotation: Any, name: str) -> str:
    choices = option.choices or _literals(annotation)
    if choices:
        return f"{{{','.join(choices)}}}"
    return name.rstrip("_").replace("_", "-").upper()


def _is(kind: type, annotation: Any) -> bool:
    """Whether a field is of `kind`, or of `kind | None`."""
    if get_origin(annotation) in (Union, UnionType):
        return any(argument is kind for argument in get_args(annotation))
    return annotation is kind


def _literals(annotation: Any) -> tuple[str, ...]:
    """The values of a Literal, also inside `Literal[...] | None`."""
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return tuple(value for argument in get_args(annotation) for value in _literals(argument))
    return ()
