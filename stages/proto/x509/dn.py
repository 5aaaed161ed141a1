"""Distinguished names: what stands in them, and as one line (RFC 4514). Pure."""

from __future__ import annotations

from typing import Any, Final

from stages.proto.der import SEQUENCE, SET, Element, Walker
from stages.proto.x509.oids import ATTRIBUTES

#: Attributes of one name that are kept; real ones have some ten, and the DER is kept beside.
MAX_ATTRIBUTES: Final = 200

_SPECIAL: Final = frozenset('"+,;<>\\')


class Name:
    """One name: its attributes in the order of the bytes; `breaks[i]`: attribute i begins a new RDN."""

    __slots__ = ("attributes", "breaks", "left_off")

    def __init__(self) -> None:
        self.attributes: list[tuple[str, str]] = []  #: (OID, value)
        self.breaks: list[bool] = []
        self.left_off = 0  #: attributes beyond MAX_ATTRIBUTES

    def values(self, oid: str) -> list[str]:
        return [value for found, value in self.attributes if found == oid]

    def rfc4514(self) -> str:
        """`CN=R3,O=Let's Encrypt,C=US`: the last RDN first, as RFC 4514 section 2.1 has it."""
        rdns: list[list[str]] = []
        for (oid, value), new in zip(self.attributes, self.breaks, strict=True):
            word = f"{ATTRIBUTES.get(oid, ('', ''))[1] or oid}={escaped(value)}"
            if new:
                rdns.append([word])
            else:
                rdns[-1].append(word)
        return ",".join("+".join(rdn) for rdn in reversed(rdns))

    def parts(self) -> dict[str, Any]:
        """{common_name: [...], ...}; attributes without a name of ours are in `other` as {oid, value}."""
        parts: dict[str, Any] = {}
        for oid, value in self.attributes:
            if oid in ATTRIBUTES:
                parts.setdefault(ATTRIBUTES[oid][0], []).append(value)
            else:
                parts.setdefault("other", []).append({"oid": oid, "value": value})
        return parts


def escaped(value: str) -> str:
    """RFC 4514 section 2.4."""
    if not value:
        return ""
    text = "".join("\\00" if c == "\0" else "\\" + c if c in _SPECIAL else c for c in value)
    if value[0] in "# ":
        text = "\\" + text
    if value[-1] == " " and len(value) > 1:
        text = text[:-1] + "\\ "
    return text


def read_name(walker: Walker, element: Element) -> Name:
    """RFC 5280 4.1.2.4. A value that is no string is kept as `#` and its DER in hex. Raises DerError."""
    name = Name()
    for rdn in walker.children(walker.expect(element, SEQUENCE)):
        first = True
        for attribute in walker.children(walker.expect(rdn, SET)):
            pair = walker.children(walker.expect(attribute, SEQUENCE))
            if len(pair) != 2:
                walker.note("an attribute of a name that is no pair")
                continue
            if len(name.attributes) == MAX_ATTRIBUTES:
                name.left_off += 1
                continue
            name.attributes.append((walker.oid(pair[0]), _value(walker, pair[1])))
            name.breaks.append(first)
            first = False
    return name


def _value(walker: Walker, element: Element) -> str:
    try:
        return walker.text(element)
    except ValueError:
        return "#" + walker.whole(element).hex()
