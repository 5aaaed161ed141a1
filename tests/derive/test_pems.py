"""Files of certificates in every form, and which block or line cannot be read."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import orjson
import pytest

from stages.core.errors import UsageError
from stages.derive.pems import form_of, read_file
from stages.proto.x509.pem import encode
from stages.proto.x509.zcrypto import certificate_json
from tests.certificates.zoo import leaf, root


def contents(path: Path, form: str | None = None) -> list[tuple[str, bytes]]:
    return [(place.removeprefix(str(path)), der) for place, der in read_file(str(path), form)]


def test_every_form(tmp_path: Path) -> None:
    one, two = leaf().der, root().der
    file = tmp_path / "certificates"
    file.write_text(encode(one) + encode(two))
    assert contents(file) == [(":1", one), (f":{encode(one).count(chr(10)) + 1}", two)]
    file.write_bytes(one)
    assert contents(file) == [("", one)]
    plain = b64encode(one).decode()
    lines = [plain, {"raw": plain}, {"der": plain}, {"certificate": plain, "x": 1}, certificate_json(one)]
    file.write_bytes(b"\n\n".join(map(orjson.dumps, lines)))
    assert [der for _, der in contents(file)] == [one] * 5
    assert [place for place, _ in contents(file)] == [":1", ":3", ":5", ":7", ":9"]


def test_the_form_is_seen() -> None:
    assert (form_of(b'{"'), form_of(b"\x30\x82"), form_of(b"-----B"), form_of(b""), form_of(b"\n\x30")) == (
        "json",
        "der",
        "pem",
        "pem",
        "pem",
    )


@pytest.mark.parametrize(
    ("data", "form", "problem"),
    [
        (
            encode(b"a").encode() + b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----",
            None,
            ":4: block 2: not",
        ),
        (b"", None, "no certificate in it"),
        (b"", "der", "empty"),
        (b'{"raw": "AAAA"}\n{"raw": "A"}\n', None, ":2: .*not base64"),
        (b'{"raw": "AAAA"}\n{"raw"\n', None, ":2: .*not JSON"),
        (b'{"other": "AAAA"}\n', None, ":1: .*no base64 under any of raw"),
        (b'{"raw": ""}\n', None, ":1: .*empty"),
        (b"[1]", "json", ":1: .*no base64"),
    ],
)
def test_what_cannot_be_read_names_its_place(tmp_path: Path, data: bytes, form: str | None, problem: str) -> None:
    file = tmp_path / "bad"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=problem):
        contents(file, form)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        contents(tmp_path / "none")
    with pytest.raises(UsageError, match="directory"):
        contents(tmp_path)
