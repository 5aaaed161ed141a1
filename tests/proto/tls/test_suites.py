"""The names of suites, beside those that OpenSSL gives them."""

from __future__ import annotations

import shutil
import subprocess

from stages.proto.tls.suites import SUITES
from tests.require import require


def test_every_suite_of_openssl_has_its_standard_name() -> None:
    require(shutil.which("openssl"), "openssl (Debian: openssl)")
    said = subprocess.run(
        ["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True, text=True, check=True, timeout=30,
    ).stdout  # fmt: skip
    theirs = {}
    for line in said.splitlines():
        code, _, name = line.split()[:3]
        high, low = code.split(",")
        theirs[int(high, 16) << 8 | int(low, 16)] = name
    assert len(theirs) > 100
    assert {code: SUITES.get(code) for code in theirs} == theirs


def test_names_stand_once_and_in_order() -> None:
    assert list(SUITES) == sorted(SUITES)
    assert len(set(SUITES.values())) == len(SUITES)
