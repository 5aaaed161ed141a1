"""One section of the settings: an immutable pydantic model, and how a field says which option sets it.

A field is written once, with its default, its option flags and its help text:

    class BannergrabSettings(Section):
        "Bannergrab: one conversation a hit"
        concurrent: int = opt(500, "-c", "--concurrent", help="connections open at once", ge=1)

The same declaration feeds the configuration file, the environment, the command line (`stages.core.options`), the
reference documentation and `longline config`. The key of a field is its name without a trailing underscore (`from_`
is `from`: a Python keyword).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Final

import pydantic
from pydantic.fields import FieldInfo

#: What stands in place of a secret.
MASK: Final = "***"

#: User and password of a URL (RFC 3986 section 3.2.1). Up to the last `@`, as a password may hold what it should
#: have escaped: rather too much is masked than too little.
_USERINFO: Final = re.compile(r"(?<=://)([^:/?#@\s]*):\S*@")

_EXTRA: Final = "longline"


@dataclass(frozen=True, slots=True)
class Option:
    """How a field is set from the command line, and how it is shown."""

    flags: tuple[str, ...] = ()  #: `-p`, `--target-ports`; none: only from the file and the environment
    help: str = ""
    metavar: str | None = None
    secret: bool = False  #: never shown
    choices: tuple[str, ...] | None = None  #: the only values allowed
    repeat: bool = False  #: the option may be given many times; a value is taken whole, commas and all
    positional: bool = False  #: an argument without a flag, any number of them
    adds_up: bool = False  #: what the layers give is joined, not replaced (blocklists)


def opt(
    default: Any,
    *flags: str,
    help: str,
    metavar: str | None = None,
    secret: bool = False,
    choices: Sequence[str] | None = None,
    repeat: bool = False,
    positional: bool = False,
    adds_up: bool = False,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """A field of a Section. `ge`, `gt`, `le`, `lt` bound its value; the rest is described at `Option`."""
    option = Option(
        flags, help, metavar, secret, tuple(choices) if choices is not None else None, repeat, positional, adds_up
    )
    bounds: dict[str, Any] = {
        name: value for name, value in (("ge", ge), ("gt", gt), ("le", le), ("lt", lt)) if value is not None
    }
    return pydantic.Field(default, description=help, json_schema_extra={_EXTRA: option}, **bounds)  # type: ignore[dict-item]


def option_of(field: FieldInfo) -> Option:
    """The Option of a field; of a field that was not made by `opt`, an empty one."""
    extra: Any = field.json_schema_extra
    option = extra.get(_EXTRA) if isinstance(extra, dict) else None
    return option if isinstance(option, Option) else Option(help=field.description or "")


def masked(value: object) -> object:
    """`value` with the passwords inside its URLs replaced by `***`."""
    if isinstance(value, str):
        return _USERINFO.sub(rf"\1:{MASK}@", value)
    if isinstance(value, tuple | list):
        return tuple(masked(item) for item in value)
    return value


def nearest(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the word in `known` that is nearest to `word`, or nothing."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


class Section(pydantic.BaseModel):
    """Base of all sections. Immutable; unknown keys are refused; secrets are not shown in repr() or str()."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        defer_build=True,  # `--help` reads the fields of all sections and validates none
    )

    #: Keys of this section that were renamed, old -> new: named in the error message.
    renamed: ClassVar[dict[str, str]] = {}

    @classmethod
    def names(cls) -> dict[str, str]:
        """key -> name of the field, in order of definition."""
        return {name.rstrip("_"): name for name in cls.model_fields}

    @classmethod
    def option(cls, name: str) -> Option:
        """The Option of the field called `name`."""
        return option_of(cls.model_fields[name])

    @classmethod
    def title(cls) -> str:
        """First line of the docstring, for help and documentation."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        """`concurrent = true` in a file would be 1 otherwise."""
        annotation = cls.model_fields[info.field_name].annotation if info.field_name else None
        if isinstance(value, bool) and "bool" not in str(annotation):
            raise ValueError("not a value of this setting, which is not a yes or no")
        return value

    @pydantic.field_validator("*", mode="after")
    @classmethod
    def _among_the_choices(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        choices = cls.option(info.field_name).choices if info.field_name else None
        if choices is None:
            return value
        for item in value if isinstance(value, tuple) else (value,):
            if item is not None and str(item) not in choices:
                raise ValueError(f"not one of {', '.join(choices)}{nearest(str(item), choices)}")
        return value

    def shown(self, name: str) -> object:
        """The value of the field called `name`, fit to be shown: secrets masked."""
        value = getattr(self, name)
        if self.option(name).secret and value not in (None, ""):
            return MASK
        return masked(value)

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        for name in type(self).model_fields:
            yield name, self.shown(name)
