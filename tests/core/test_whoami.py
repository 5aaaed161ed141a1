from __future__ import annotations

import os
import pwd
import socket

import pydantic
import pytest

from stages.core import whoami
from stages.core.whoami import MAX_LINE, Line, operator

CHECK = pydantic.TypeAdapter(Line)


def test_user_and_host() -> None:
    assert operator({}) == f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


@pytest.mark.parametrize(
    ("uid", "sudo", "name"), [(0, "alice", "alice"), (0, "a\nb", "root"), (4_000_000, "alice", "uid 4000000")]
)
def test_who_became_root_is_named(monkeypatch: pytest.MonkeyPatch, uid: int, sudo: str, name: str) -> None:
    monkeypatch.setattr(whoami.os, "getuid", lambda: uid)
    assert operator({"SUDO_USER": sudo}).split("@")[0] == name


def test_one_line() -> None:
    assert CHECK.validate_python(" ticket 7 ") == "ticket 7"
    for wrong in ("a\nb", "\x1b[31m", "x" * (MAX_LINE + 1)):
        with pytest.raises(pydantic.ValidationError):
            CHECK.validate_python(wrong)
