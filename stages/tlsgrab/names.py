"""The names in a certificate as further targets of the same address: what a server shows only to who asks for it. Pure.

One budget for all that follows from one line of the input, whatever the certificates that are found on the way hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from stages.core.netset import is_name
from stages.core.records import Hit, is_ip
from stages.tlsgrab.attempts import Attempt, Followed

#: Names of one certificate that are looked at: real ones have up to some hundreds.
MAX_NAMES: Final = 1_000

#: What cryptography says of certificates that it cannot read.
_UNREADABLE: Final = (ValueError, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)

_HIT_FIELDS: Final = tuple(each.name for each in fields(Hit) if each.name not in ("name", "id"))


def names_of(der: bytes) -> Iterator[str]:
    """The host names of a certificate, its common name last; no wildcards, no addresses. Nothing for what cannot be
    read: the bytes are kept, and are somebody else's affair."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        found = [
            name
            for extension in certificate.extensions
            if extension.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME
            for name in extension.value.get_values_for_type(x509.DNSName)
        ]
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        found += [str(attribute.value) for attribute in common]
    except _UNREADABLE:
        return
    for name in found[:MAX_NAMES]:
        plain = name.removesuffix(".").lower()
        if is_name(plain) and not is_ip(plain):
            yield plain


def follow(hit: Hit, leaf: bytes, budget: int, default: str | None = None) -> list[tuple[Attempt, bytes]]:
    """The targets that the leaf of a chain adds, each with its line. `default`: what is asked for where the
    input gives no name."""
    followed = hit.followed if isinstance(hit, Attempt) else None
    if followed is None:
        followed = Followed(budget)
    followed.asked.add(hit.name or default)
    if followed.left <= 0:
        return []
    out: list[tuple[Attempt, bytes]] = []
    own = {name: getattr(hit, name) for name in _HIT_FIELDS}
    for name in names_of(leaf):
        if followed.left <= 0:
            break
        if name in followed.asked:
            continue
        followed.asked.add(name)
        followed.left -= 1
        target = Attempt(**own, name=name, followed=followed)
        out.append((target, target.dump()))
    return out
