"""Names of code points: known ones by name, unknown ones by number, never guessed."""

from __future__ import annotations

from stages.proto.tls.names import alert_name, suite_name, version_name


def test_known_code_points_have_their_registered_names() -> None:
    assert version_name(0x0304) == "TLSv1.3"
    assert suite_name(0x1301) == "TLS_AES_128_GCM_SHA256"
    assert suite_name(0xC02F) == "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    assert alert_name(40) == "handshake_failure"
    assert alert_name(112) == "unrecognized_name"


def test_unknown_code_points_are_numbers() -> None:
    assert version_name(0x7F1C) == "0x7F1C"
    assert suite_name(0x0A0A) == "0x0A0A"
    assert alert_name(200) == "alert_200"
