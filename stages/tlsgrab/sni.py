"""The name that a ClientHello asks for (RFC 6066 section 3), out of what the input calls the target. Pure."""

from __future__ import annotations

from stages.core.netset import is_name
from stages.core.records import is_ip


def sni_of(name: str | None, *, literal: bool = False) -> bytes | None:
    """The name as it is sent: A-labels (RFC 5890), lower case, no dot at the end.

    None for no name, and for an address: it is not allowed there. With `literal` an address is sent as it is, for
    servers that answer to it all the same. Raises ValueError for what is no host name.
    """
    if not name:
        return None
    address = name.removeprefix("[").removesuffix("]")
    if is_ip(address):
        return address.lower().encode("ascii") if literal else None
    try:
        encoded = name.removesuffix(".").encode("idna").lower()
    except UnicodeError:
        encoded = b""
    if not is_name(encoded.decode("ascii", "replace")):
        raise ValueError(f"{name!r} is not a host name")
    return encoded
