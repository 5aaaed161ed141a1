from __future__ import annotations

import pydantic
import pytest

from stages.fleet.settings import PORT, AgentSettings, CoordinatorSettings, NoticeSettings, parted


@pytest.mark.parametrize(
    ("text", "address"),
    [(f":{PORT}", ("0.0.0.0", PORT)), ("[::]:443", ("::", 443)), ("127.0.0.1:0", ("127.0.0.1", 0))],
)
def test_where_to_listen(text: str, address: tuple[str, int]) -> None:
    assert CoordinatorSettings(listen=text).address == address


@pytest.mark.parametrize("text", ["", "46001", "host", "host:", "host:x", "host:99999"])
def test_no_place_to_listen(text: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="HOST:PORT"):
        CoordinatorSettings(listen=text)


@pytest.mark.parametrize(
    ("text", "address"),
    [(":80", ("", 80)), ("[::]:443", ("::", 443)), ("127.0.0.1:0", ("127.0.0.1", 0))],
)
def test_where_a_notice_is(text: str, address: tuple[str, int]) -> None:
    assert parted(NoticeSettings(http=text).http) == address
    assert NoticeSettings(https="").https == ""


@pytest.mark.parametrize("text", ["80", "host", "host:", "host:x", "host:99999"])
def test_no_place_for_a_notice(text: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="HOST:PORT"):
        NoticeSettings(https=text)


def test_agents_may_come_by_a_log_only() -> None:
    assert CoordinatorSettings(listen="none", work="kafka://b:9092").address is None
    with pytest.raises(pydantic.ValidationError, match="needs --work"):
        CoordinatorSettings(listen="none")


def test_the_default_is_dnmaps_port_and_a_token_is_not_shown() -> None:
    assert CoordinatorSettings().address == ("0.0.0.0", 46_001)
    assert "ll1.SECRET" not in repr(AgentSettings(token="ll1.SECRET"))
