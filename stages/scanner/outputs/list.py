"""Output module `list`: one target a line, as people feed it to the next tool: `10.0.0.1`, with the port where
several were scanned: `10.0.0.1:443`, `[2001:db8::1]:443`."""

from __future__ import annotations

from collections.abc import Sequence

from stages.scanner.outputs.base import Format
from stages.scanner.rows import Answer, address_text


class List:
    """Targets, nothing else."""

    def __init__(self, wanted: Format) -> None:
        self._ports = any(field.name == "sport" for field in wanted.fields)

    def begin(self) -> bytes:
        return b""

    def render(self, answers: Sequence[Answer]) -> bytes:
        line = _with_port if self._ports else _address
        return "".join([line(answer) for answer in answers]).encode()


def _address(answer: Answer) -> str:
    return f"{address_text(answer.address)}\n"


def _with_port(answer: Answer) -> str:
    host = address_text(answer.address)
    return f"[{host}]:{answer.port}\n" if ":" in host else f"{host}:{answer.port}\n"
