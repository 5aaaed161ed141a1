"""Code points of TLS as a rule writes them: by name, or as a number, `57` or `0x0039`. Pure."""

from __future__ import annotations

import re
from typing import Final

from stages.proto.tls import codes
from stages.proto.tls.suites import SUITES

_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,4}|[0-9]{1,5}")

_VERSIONS: Final = {
    "ssl3": codes.SSL3,
    "sslv3": codes.SSL3,
    "tls1.0": codes.TLS10,
    "tlsv1.0": codes.TLS10,
    "tls1.1": codes.TLS11,
    "tlsv1.1": codes.TLS11,
    "tls1.2": codes.TLS12,
    "tlsv1.2": codes.TLS12,
    "tls1.3": codes.TLS13,
    "tlsv1.3": codes.TLS13,
}

_SUITES: Final = {name: code for code, name in SUITES.items()}

EXTENSIONS: Final = {
    "server_name": codes.SERVER_NAME,
    "max_fragment_length": 1,
    "status_request": codes.STATUS_REQUEST,
    "supported_groups": codes.SUPPORTED_GROUPS,
    "ec_point_formats": codes.EC_POINT_FORMATS,
    "signature_algorithms": codes.SIGNATURE_ALGORITHMS,
    "heartbeat": 15,
    "alpn": codes.ALPN,
    "signed_certificate_timestamp": codes.SIGNED_CERTIFICATE_TIMESTAMP,
    "encrypt_then_mac": 22,
    "extended_master_secret": codes.EXTENDED_MASTER_SECRET,
    "compress_certificate": codes.COMPRESS_CERTIFICATE,
    "session_ticket": 35,
    "supported_versions": codes.SUPPORTED_VERSIONS,
    "cookie": codes.COOKIE,
    "psk_key_exchange_modes": 45,
    "key_share": codes.KEY_SHARE,
    "renegotiation_info": codes.RENEGOTIATION_INFO,
}

GROUPS: Final = {
    "secp256r1": codes.SECP256R1,
    "secp384r1": codes.SECP384R1,
    "secp521r1": codes.SECP521R1,
    "x25519": codes.X25519,
    "x448": 30,
}


def number(text: str, what: str) -> int:
    """16 bits. Raises ValueError."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no {what}: a name, or a number like 0x0039")
    value = int(text, 16 if text[:2] in ("0x", "0X") else 10)
    if value > 0xFFFF:
        raise ValueError(f"{text!r} is no {what}: more than 16 bits")
    return value


def version_code(text: str) -> int:
    """Raises ValueError."""
    code = _VERSIONS.get(text.lower())
    if code is None:
        raise ValueError(f"{text!r} is not one of ssl3, tls1.0, tls1.1, tls1.2, tls1.3")
    return code


def suite_code(text: str) -> int:
    """Raises ValueError."""
    return _SUITES[text] if text in _SUITES else number(text, "suite")


def extension_code(text: str) -> int:
    """Raises ValueError."""
    return EXTENSIONS[text] if text in EXTENSIONS else number(text, "extension")


def group_code(text: str) -> int:
    """Raises ValueError."""
    return GROUPS[text] if text in GROUPS else number(text, "group")
