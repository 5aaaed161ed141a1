"""A stored certificate as text for people: what it says, where it is, what is thought of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from stages.sink.documents import Document
from stages.sink.query import time_of

#: Names in the text; `--format json` has all.
SHOWN_NAMES: Final = 20


def lines(d: Document) -> list[str]:
    """`what: text`, one a line; control characters of a certificate never reach a terminal."""
    width = 20
    return [f"{what + ':':{width}}{_plain(text)}" for what, text in _facts(d) if text]


def _facts(d: Document) -> Iterator[tuple[str, str]]:
    yield "sha256", str(d.get("_id", ""))
    for key in ("subject", "issuer", "serial", "version"):
        yield key, str(d.get(key, ""))
    for key in ("not_before", "not_after", "first_seen", "last_seen"):
        yield key.replace("_", " "), time_of(d[key]) if key in d else ""
    key = d.get("key", {})
    yield "key", " ".join(str(key[k]) for k in ("type", "bits", "curve", "exponent") if k in key)
    yield "key sha256", str(d.get("spki_sha256", ""))
    yield "signature", str(d.get("signature_algorithm", ""))
    for key in ("names", "addresses"):
        values = d.get(key, ())
        more = f" and {len(values) - SHOWN_NAMES} more" if len(values) > SHOWN_NAMES else ""
        yield key, " ".join(values[:SHOWN_NAMES]) + more
    yield "services", str(d.get("services", ""))
    yield "parsed", str(d.get("parse_status", ""))
    for what in d.get("errors", ()):
        yield "error", what
    for what in d.get("notes", ()):
        yield "note", what
    yield from _verdicts(d.get("verdicts", {}))


def _verdicts(verdicts: Document) -> Iterator[tuple[str, str]]:
    if verdicts:
        yield "judged for", time_of(verdicts["at"])
    for name, said in verdicts.items():
        if name == "untrusted":
            for store, one in said.items():
                yield f"untrusted ({store})", _said(one)
        elif name == "mismatch":
            for one in said:
                yield "mismatch", f"{one['name']}: {_said(one)}"
        elif name != "at":
            yield name.replace("_", " "), _said(said)


def _said(one: Any) -> str:
    return f"{one['is']}, {one['why']}" if one["why"] else str(one["is"])


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
