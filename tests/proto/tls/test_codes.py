"""The numbers, beside those that Python's ssl knows."""

from __future__ import annotations

import ssl

from stages.proto.tls import codes


def test_alerts_and_versions_are_those_of_ssl() -> None:
    for name in (
        "CLOSE_NOTIFY",
        "UNEXPECTED_MESSAGE",
        "BAD_RECORD_MAC",
        "RECORD_OVERFLOW",
        "BAD_CERTIFICATE",
        "ILLEGAL_PARAMETER",
        "DECODE_ERROR",
        "USER_CANCELLED",
    ):
        ours = getattr(codes, name.replace("CANCELLED", "CANCELED"))
        assert ours == ssl.AlertDescription[f"ALERT_DESCRIPTION_{name}"]
    versions = (codes.SSL3, codes.TLS10, codes.TLS11, codes.TLS12, codes.TLS13)
    assert versions == tuple(sorted(int(v) for v in ssl.TLSVersion if v > 0))


def test_message_and_content_types_are_those_of_ssl() -> None:
    types = ssl._TLSMessageType  # type: ignore[attr-defined]
    for ours, theirs in (
        (codes.HELLO_REQUEST, types.HELLO_REQUEST),
        (codes.CLIENT_HELLO, types.CLIENT_HELLO),
        (codes.SERVER_HELLO, types.SERVER_HELLO),
        (codes.ENCRYPTED_EXTENSIONS, types.ENCRYPTED_EXTENSIONS),
        (codes.CERTIFICATE, types.CERTIFICATE),
        (codes.SERVER_KEY_EXCHANGE, types.SERVER_KEY_EXCHANGE),
        (codes.CERTIFICATE_REQUEST, types.CERTIFICATE_REQUEST),
        (codes.SERVER_HELLO_DONE, types.SERVER_DONE),
        (codes.CERTIFICATE_STATUS, types.CERTIFICATE_STATUS),
        (codes.SUPPLEMENTAL_DATA, types.SUPPLEMENTAL_DATA),
        (codes.MESSAGE_HASH, types.MESSAGE_HASH),
    ):
        assert ours == theirs
    content = ssl._TLSContentType  # type: ignore[attr-defined]
    assert (codes.CHANGE_CIPHER_SPEC, codes.ALERT, codes.HANDSHAKE, codes.APPLICATION_DATA) == (
        content.CHANGE_CIPHER_SPEC, content.ALERT, content.HANDSHAKE, content.APPLICATION_DATA,
    )  # fmt: skip
