"""GeneralName (RFC 5280 4.2.1.6): the names of subjects and issuers, constraints and places. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Final

from stages.proto.der import DerError, Element, Walker
from stages.proto.x509.dn import read_name

#: Tag -> key in documents.
KINDS: Final = {
    0xA0: "other_names",
    0x81: "email_addresses",
    0x82: "dns_names",
    0xA3: "x400_addresses",
    0xA4: "directory_names",
    0xA5: "edi_party_names",
    0x86: "uniform_resource_identifiers",
    0x87: "ip_addresses",
    0x88: "registered_ids",
}
_TEXTS: Final = frozenset({0x81, 0x82, 0x86})

#: DNS names kept of one certificate, each an entry of the index of names. The largest that an authority signs have some
#: 2,000; a chain of 256 KiB could hold 60,000.
MAX_NAMES: Final = 10_000

#: Names of every other kind, and entries of every other list: whoever wants more has the DER.
MAX_OTHERS: Final = 200


def read_general(walker: Walker, element: Element) -> tuple[str, Any]:
    """(kind, value): text; {id, value} with DER in hex; or the RFC 4514 form of a name. Raises DerError."""
    kind = KINDS.get(element.tag)
    if kind is None:
        raise DerError(f"tag 0x{element.tag:02x} is no general name at byte {element.start}")
    if element.tag in _TEXTS:
        return kind, walker.content(element).decode("latin-1")  # IA5: what is beyond ASCII stays what it is
    if kind == "ip_addresses":
        raw = walker.content(element)
        if len(raw) not in (4, 16):
            walker.note(f"an IP address of {len(raw)} bytes")
            return kind, raw.hex()
        return kind, str(ip_address(raw))
    if kind == "directory_names":
        [inner] = walker.children(element)[:1] or [element]
        return kind, read_name(walker, inner).rfc4514()
    if kind == "registered_ids":
        return kind, walker.oid_of(element)
    if kind == "other_names":
        parts = walker.children(element)
        if len(parts) == 2:
            return kind, {"id": walker.oid(parts[0]), "value": walker.content(parts[1]).hex()}
    return kind, {"value": walker.content(element).hex()}


def read_names(walker: Walker, elements: list[Element]) -> dict[str, Any]:
    """kind -> values, in their order; `left_off` counts what is beyond the bounds."""
    names: dict[str, Any] = {}
    for element in elements:
        kind, value = read_general(walker, element)
        known = names.setdefault(kind, [])
        if len(known) < (MAX_NAMES if kind == "dns_names" else MAX_OTHERS):
            known.append(value)
        else:
            names["left_off"] = names.get("left_off", 0) + 1
    return names
