"""Code points of TLS that the program acts on (RFC 8446, 5246, 6101; IANA registries "TLS Parameters")."""

from __future__ import annotations

from typing import Final

SSL3: Final = 0x0300
TLS10: Final = 0x0301
TLS11: Final = 0x0302
TLS12: Final = 0x0303
TLS13: Final = 0x0304

#: Record content types (RFC 8446 section 5.1).
CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23

#: Handshake message types (RFC 8446 section 4, RFC 5246 section 7.4, RFC 4680 section 2, RFC 6066 section 8,
#: RFC 8879 section 4).
HELLO_REQUEST: Final = 0
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
ENCRYPTED_EXTENSIONS: Final = 8
CERTIFICATE: Final = 11
SERVER_KEY_EXCHANGE: Final = 12
CERTIFICATE_REQUEST: Final = 13
SERVER_HELLO_DONE: Final = 14
CERTIFICATE_STATUS: Final = 22
SUPPLEMENTAL_DATA: Final = 23
COMPRESSED_CERTIFICATE: Final = 25
MESSAGE_HASH: Final = 254

#: Extensions.
SERVER_NAME: Final = 0
STATUS_REQUEST: Final = 5
SUPPORTED_GROUPS: Final = 10
EC_POINT_FORMATS: Final = 11
SIGNATURE_ALGORITHMS: Final = 13
ALPN: Final = 16
SIGNED_CERTIFICATE_TIMESTAMP: Final = 18
EXTENDED_MASTER_SECRET: Final = 23
COMPRESS_CERTIFICATE: Final = 27
SUPPORTED_VERSIONS: Final = 43
COOKIE: Final = 44
KEY_SHARE: Final = 51
RENEGOTIATION_INFO: Final = 0xFF01

#: Groups (RFC 8446 section 4.2.7).
SECP256R1: Final = 23
SECP384R1: Final = 24
SECP521R1: Final = 25
X25519: Final = 29

#: Alerts: level 2 is fatal; close_notify ends the connection whatever its level (RFC 5246 section 7.2).
WARNING: Final = 1
FATAL: Final = 2
CLOSE_NOTIFY: Final = 0
UNEXPECTED_MESSAGE: Final = 10
BAD_RECORD_MAC: Final = 20
RECORD_OVERFLOW: Final = 22
BAD_CERTIFICATE: Final = 42
ILLEGAL_PARAMETER: Final = 47
DECODE_ERROR: Final = 50
USER_CANCELED: Final = 90

#: ServerHello.random of a HelloRetryRequest (RFC 8446 section 4.1.3).
HELLO_RETRY_REQUEST: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
