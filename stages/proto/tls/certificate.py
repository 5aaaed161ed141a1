"""Certificate messages: of TLS 1.2 and below (RFC 5246 section 7.4.2), of TLS 1.3 (RFC 8446 section 4.4.2), compressed
ones (RFC 8879), and the OCSP answer of TLS 1.2 (RFC 6066 section 8).

Certificates are bytes here: whether they are DER is not asked.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from stages.proto.tls.codes import BAD_CERTIFICATE, SIGNED_CERTIFICATE_TIMESTAMP, STATUS_REQUEST
from stages.proto.tls.messages import MAX_MESSAGE
from stages.proto.tls.records import TlsFormatError
from stages.proto.tls.server_hello import extensions_of

#: status_type ocsp (RFC 6066 section 8).
_OCSP: Final = 1


@dataclass(slots=True)
class Chain:
    """What a TLS 1.3 Certificate message holds."""

    certificates: list[bytes]  #: as sent, leaf first
    ocsp: bytes | None = None  #: of the leaf, DER
    scts: bytes | None = None  #: SignedCertificateTimestampList of the leaf (RFC 6962 section 3.3)


def parse_certificate(body: bytes) -> list[bytes]:
    """The chain in the body of a TLS 1.2 Certificate message, as sent. Raises TlsFormatError."""
    size = len(body)
    if size < 3 or int.from_bytes(body[:3], "big") != size - 3:
        raise TlsFormatError("length of the certificate list")
    chain: list[bytes] = []
    at = 3
    while at < size:
        if at + 3 > size:
            raise TlsFormatError("certificate list ends inside a length")
        end = at + 3 + (body[at] << 16 | body[at + 1] << 8 | body[at + 2])
        if end > size:
            raise TlsFormatError("a certificate is longer than its list")
        chain.append(body[at + 3 : end])
        at = end
    return chain


def parse_certificate13(body: bytes) -> Chain:
    """The body of a TLS 1.3 Certificate message. Raises TlsFormatError."""
    size = len(body)
    at = 1 + body[0] if size else 0  # the request context, empty here
    if size < at + 3 or size < 4 or int.from_bytes(body[at : at + 3], "big") != size - at - 3:
        raise TlsFormatError("length of the certificate list")
    at += 3
    chain = Chain([])
    while at < size:
        if at + 3 > size:
            raise TlsFormatError("certificate list ends inside a length")
        end = at + 3 + (body[at] << 16 | body[at + 1] << 8 | body[at + 2])
        if end + 2 > size:
            raise TlsFormatError("a certificate is longer than its list")
        first = not chain.certificates
        chain.certificates.append(body[at + 3 : end])
        at = end + 2 + (body[end] << 8 | body[end + 1])
        if at > size:
            raise TlsFormatError("the extensions of a certificate are longer than its list")
        if first and at > end + 2:
            for kind, data in extensions_of(body, end + 2, at, "Certificate"):
                if kind == STATUS_REQUEST:
                    chain.ocsp = parse_status(data)
                elif kind == SIGNED_CERTIFICATE_TIMESTAMP:
                    chain.scts = data
    return chain


def parse_status(body: bytes) -> bytes | None:
    """The OCSP answer in a CertificateStatus, DER; None for one of another type. Raises TlsFormatError."""
    if len(body) < 4 or int.from_bytes(body[1:4], "big") != len(body) - 4:
        raise TlsFormatError("length of the certificate status")
    return body[4:] if body[0] == _OCSP else None


def _inflate_zlib(data: bytes, size: int) -> bytes:
    """At most `size` + 1 bytes are ever made of it. Raises ValueError."""
    engine = zlib.decompressobj()
    try:
        out = engine.decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not engine.eof and len(out) <= size:
        raise ValueError("it ends inside")
    return out


#: Algorithm (RFC 8879 section 3) -> how it is undone: (data, length of the result) -> at most one byte more than that.
#: What is not here is not offered, and servers send such chains as they are.
DECOMPRESSORS: Final[Mapping[int, Callable[[bytes, int], bytes]]] = {1: _inflate_zlib}


def decompress_certificate(body: bytes) -> bytes:
    """The body of the Certificate message in a CompressedCertificate. Raises TlsFormatError; never makes more than
    MAX_MESSAGE bytes."""
    if len(body) < 8 or int.from_bytes(body[5:8], "big") != len(body) - 8:
        raise TlsFormatError("length of the compressed certificate")
    algorithm = body[0] << 8 | body[1]
    size = int.from_bytes(body[2:5], "big")
    if size > MAX_MESSAGE:
        raise TlsFormatError(f"certificate message of {size} bytes when inflated, at most {MAX_MESSAGE}")
    inflate = DECOMPRESSORS.get(algorithm)
    if inflate is None:
        raise TlsFormatError(f"certificate compression {algorithm} was not offered")
    try:
        out = inflate(body[8:], size)
    except ValueError as error:
        raise TlsFormatError(f"compressed certificate: {error}", BAD_CERTIFICATE) from None
    if len(out) != size:
        more = "more than the" if len(out) > size else "not the"
        raise TlsFormatError(f"compressed certificate holds {more} {size} bytes that it says", BAD_CERTIFICATE)
    return out
