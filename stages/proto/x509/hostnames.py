"""Names of hosts: sorted from the right, looked for by a wildcard, and matched with a certificate. Pure.

`reverse` writes the labels from the last to the first, so that all below one domain stand together in an index:
`*.example.org` is `org.example.*`, and everything under example.org lies between `org.example.` and `org.example/`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

#: The character behind the dot: ends the range of everything below a domain.
_AFTER_DOT: Final = chr(ord(".") + 1)

#: Characters of a name of a host (RFC 1035 section 2.3.4: 255 octets).
MAX_NAME: Final = 255

_WILDCARD: Final = "*."


def reverse(name: str) -> str:
    """`www.example.org` as `org.example.www`, and back."""
    return ".".join(reversed(name.split(".")))


def below(pattern: str) -> tuple[str, str] | None:
    """The range [first, end) of reversed names that `*.example.org` means: everything below; None: no wildcard.

    Raises ValueError for a star anywhere else than as the first label.
    """
    if not pattern.startswith(_WILDCARD):
        if "*" in pattern:
            raise ValueError("a star stands for the first labels only, as in *.example.org")
        return None
    parent = pattern.removeprefix(_WILDCARD)
    if not parent or "*" in parent:
        raise ValueError("a star stands for the first labels only, as in *.example.org")
    first = reverse(parent)
    return first + ".", first + _AFTER_DOT


def canonical_address(text: str) -> str | None:
    """An IP address in its canonical form, or None."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def matches(name: str, pattern: str) -> bool:
    """Whether a DNS name in a certificate is for this host (RFC 6125 section 6.4): labels compared without case, a star
    only as the whole first label, for exactly one label, and with two labels behind it (7.2: not `*.org`)."""
    name = name.rstrip(".").lower()
    pattern = pattern.rstrip(".").lower()
    if not name or not pattern:
        return False
    if "*" not in pattern:
        return name == pattern
    star, _, parent = pattern.partition(".")
    if star != "*" or "*" in parent or "." not in parent:
        return False
    first, _, rest = name.partition(".")
    return bool(first) and rest == parent


def covers(asked: str, dns_names: Iterable[str], addresses: Iterable[str], common_names: Iterable[str]) -> bool:
    """Whether a certificate with these names is for `asked`, a host name or an IP address.

    The common name counts only where there is no DNS name or address at all (RFC 6125 section 6.4.4).
    """
    address = canonical_address(asked)
    dns_names, addresses = list(dns_names), list(addresses)
    if address is not None:
        return address in addresses or (not dns_names and not addresses and address in common_names)
    if dns_names or addresses:
        return any(matches(asked, pattern) for pattern in dns_names)
    return any(matches(asked, pattern) for pattern in common_names)
