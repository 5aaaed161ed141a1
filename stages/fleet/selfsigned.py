"""A certificate that a notice page signs for itself, where it was given none: encrypted, and known to nobody."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: It is made anew at each start; a process that runs longer than this is started again by its operator.
DAYS: Final = 397

#: A clock may be behind ours.
SKEW: Final = dt.timedelta(days=1)

#: Names in one certificate: a handshake carries them all.
MAX_NAMES: Final = 100


def made(names: Iterable[str], now: dt.datetime) -> tuple[bytes, bytes]:
    """(certificate, key), both PEM, for host names and addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    held: list[x509.GeneralName] = []
    for name in list(dict.fromkeys(names))[:MAX_NAMES]:
        try:
            held.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            held.append(x509.DNSName(name))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "notice of a measurement")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - SKEW).not_valid_after(now + dt.timedelta(days=DAYS))
    builder = builder.add_extension(x509.SubjectAlternativeName(held), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private
