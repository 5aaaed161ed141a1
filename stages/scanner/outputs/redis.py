"""Output module `redis`: every answer is an element of a list, or a message of a channel. Pure: where to, and what; who
talks to the server is `stages.scanner.redis`.

`--output-args` is a URL:

    redis://[[USER]:PASSWORD@]HOST[:PORT][/DB][?list=NAME|channel=NAME][&format=csv|json]     rediss:// for TLS
    unix:///PATH/OF/SOCKET?...
    tcp://HOST[:PORT]/NAME, local:///PATH/OF/SOCKET/NAME                                      as ZMap 2 wrote them

Without it: the list `zmap` of the server on this host. An element is the answer's row of CSV without a header, so that
with the default fields it is an address, or its JSON object. Elements are appended: what takes them off the front
(LPOP) gets them in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from stages.scanner.outputs.base import Format
from stages.scanner.outputs.csv import Csv
from stages.scanner.outputs.json import Json
from stages.scanner.rows import Answer

DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_NAME: Final = "zmap"
_OPTIONS: Final = ("list", "channel", "format")
_FORMATS: Final = ("csv", "json")


@dataclass(frozen=True, slots=True)
class Place:
    """Where elements go."""

    url: str  #: of the server, as its client reads it
    name: str
    publish: bool = False  #: a channel, not a list
    format: Literal["csv", "json"] = "csv"

    @property
    def host(self) -> str | None:
        """None: a socket of this host."""
        return urlsplit(self.url).hostname


def parse_place(args: str | None) -> Place:
    """What `--output-args` says. Raises ValueError with the problem."""
    if not args:
        return Place(DEFAULT_URL, DEFAULT_NAME)
    url = urlsplit(args)
    if url.scheme == "tcp":
        name = unquote(url.path.strip("/"))
        if not url.hostname or "/" in name:
            raise ValueError("not tcp://HOST[:PORT]/LIST")
        return Place(f"redis://{url.netloc}/0", name or DEFAULT_NAME)
    if url.scheme == "local":
        path, _, name = url.path.rpartition("/")
        if not path or not name:
            raise ValueError("not local:///PATH/OF/SOCKET/LIST")
        return Place(f"unix://{path}", unquote(name))
    if url.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("not a URL such as redis://HOST:6379/0?list=NAME")
    if url.scheme != "unix" and not url.hostname:
        raise ValueError("the URL names no host")
    try:
        _ = url.port
        asked = parse_qs(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    strange = [key for key in asked if key not in _OPTIONS]
    if strange:
        raise ValueError(f"{strange[0]!r} is none of {', '.join(_OPTIONS)}")
    if "list" in asked and "channel" in asked:
        raise ValueError("a list or a channel, not both")
    given = {key: values[-1] for key, values in asked.items()}
    form = given.get("format", "csv")
    if form not in _FORMATS:
        raise ValueError(f"format {form!r} is none of {', '.join(_FORMATS)}")
    name = given.get("channel", given.get("list", DEFAULT_NAME))
    if not name:
        raise ValueError("the list or channel has no name")
    return Place(args.partition("?")[0], name, "channel" in given, "json" if form == "json" else "csv")


class Redis:
    """Elements, joined by line ends: `elements` has them one by one."""

    def __init__(self, wanted: Format) -> None:
        self.place = parse_place(wanted.args)
        self._module = (Json if self.place.format == "json" else Csv)(wanted)

    def begin(self) -> bytes:
        return b""

    def render(self, answers: Sequence[Answer]) -> bytes:
        return self._module.render(answers)

    def elements(self, answers: Sequence[Answer]) -> list[bytes]:
        """One for each answer."""
        return [self._module.render([answer]).removesuffix(b"\n") for answer in answers]
