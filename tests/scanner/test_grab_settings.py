from __future__ import annotations

import pytest

from stages.core.errors import SettingError
from stages.core.settings import load
from stages.scanner.grab_settings import GrabSettings


def settings(**typed: object) -> GrabSettings:
    return load({"grab": GrabSettings}, argv={"grab": typed}, environ={}, file=None).get("grab", GrabSettings)


def test_nothing_is_gone_on_with_unless_asked() -> None:
    plain = settings()
    assert plain.what is None
    assert not plain.hold


def test_what_belongs_together() -> None:
    grab = settings(what="http-req", wait="2", read_timeout="1.5", max_bytes="1k", output="-")
    assert (grab.wait, grab.read_timeout, grab.max_bytes) == (2.0, 1.5, 1000)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"what": "wait", "hold": True}, "--hold leaves connections to another stage"),
        ({"output": "x"}, "--grab-output is about --grab"),
        ({"read_timeout": "1"}, "--read-timeout is about --grab"),
        ({"what": "wait", "max_bytes": "1M"}, "less than or equal to 700000"),
        ({"what": "wait", "concurrent": "0"}, "greater than or equal to 1"),
    ],
)
def test_what_does_not(typed: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        settings(**typed)
