"""What an agent makes of its own settings. Agents at work: tests/integration/test_fleet.py."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from pathlib import Path

import pytest

from stages.cli import agent
from stages.cli.agent import _enrol, capabilities, forbidden_by, policy_of
from stages.cli.ways import place
from stages.core.errors import MissingCapability, Unavailable, UsageError
from stages.core.lists import read_lists
from stages.core.netset import NetSet
from stages.core.resolving import resolver
from stages.core.settings import BusSettings, ListSettings
from stages.fleet import ca
from stages.fleet.https import Server
from stages.fleet.settings import AgentSettings
from stages.net.privileges import Setup
from tests.cli.command import longline
from tests.fleet.house import House


class Nobody(Setup):
    """Without any capability."""

    def __init__(self) -> None:
        """Drops nothing of the test's."""

    def run(self, work: object, *, last: bool = True) -> bool:  # type: ignore[override]
        return False


def forbidden(**lists: object) -> NetSet:
    settings = ListSettings.model_validate(lists)
    return forbidden_by(read_lists(settings, resolver()), settings)


def test_without_privileges_it_connects_and_says_so() -> None:
    can = capabilities(AgentSettings(), Nobody())
    assert (can.engine, can.privileged, can.probes) == ("connect", False, ("tcp_synscan",))
    with pytest.raises(MissingCapability, match="--engine connect works without"):
        capabilities(AgentSettings(engine="packet"), Nobody())


def test_the_modules_that_are_done_here() -> None:
    can = capabilities(AgentSettings(engine="connect", modules="tcp_synscan"), None)
    assert can.probes == ("tcp_synscan",)
    with pytest.raises(UsageError, match="'dance'"):
        capabilities(AgentSettings(modules="dance"), None)
    with pytest.raises(UsageError, match="nothing that"):
        capabilities(AgentSettings(engine="connect", modules="udp"), None)


def test_it_grabs_only_what_its_user_lets_it() -> None:
    assert capabilities(AgentSettings(engine="connect"), None).grabs == ()
    can = capabilities(AgentSettings(engine="connect", grab="banner,tls"), None)
    assert can.grabs == ("banner", "tls")
    assert policy_of(AgentSettings(), NetSet(), can).grabs == {"banner", "tls"}
    with pytest.raises(UsageError, match="'secrets'"):
        capabilities(AgentSettings(engine="connect", grab="secrets"), None)


def test_special_ranges_are_left_alone_unless_its_own_allowlist_names_them(tmp_path: Path) -> None:
    can = capabilities(AgentSettings(engine="connect"), None)
    assert "10.0.0.1" in policy_of(AgentSettings(), forbidden(), can).forbidden
    assert "127.0.0.1" in policy_of(AgentSettings(), forbidden(), can).forbidden
    (tmp_path / "allow").write_text("10.0.0.0/16\n")
    mine = policy_of(AgentSettings(), forbidden(allowlist_file=(str(tmp_path / "allow"),)), can)
    assert "10.0.0.1" not in mine.forbidden
    assert "10.1.0.1" in mine.forbidden
    assert "1.1.1.1" in mine.forbidden


@pytest.mark.parametrize(
    ("more", "said"), [({"ports": "99999"}, "--ports"), ({"ports": "x"}, "--ports"), ({"hours": "9"}, "--hours")]
)
def test_a_bad_policy_is_named(more: dict[str, str], said: str) -> None:
    can = capabilities(AgentSettings(engine="connect"), None)
    with pytest.raises(UsageError, match=said):
        policy_of(AgentSettings.model_validate(more), NetSet(), can)


async def test_a_coordinator_that_is_only_starting_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = dt.datetime.now(dt.UTC)
    authority = ca.Authority.make(tmp_path / "fleet", now)
    authority.server(ca.Identity(tmp_path / "fleet"), ("localhost",), now)
    house = House(tmp_path, authority)
    house.now = now.timestamp()
    await house.begin()
    token, hashed = ca.new_token(authority.fingerprint)
    house.state.add_token(hashed, "alice", house.now + 10)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"https://localhost:{port}"
    enrolling = asyncio.create_task(_enrol(AgentSettings(token=token), BusSettings(), [url], tmp_path / "agent"))
    async with asyncio.timeout(20):
        while "out of reach" not in caplog.text:
            await asyncio.sleep(0.01)
    server = Server(house.coordinator.handle, ca.Identity(tmp_path / "fleet"), "127.0.0.1", port)
    await server.start()
    await enrolling
    assert ca.alias_in(ca.Identity(place(tmp_path / "agent", url))) == "alice"
    await server.close()
    house.state.close()
    monkeypatch.setattr(agent, "ENROL_SECONDS", 0.1)
    with pytest.raises(Unavailable):
        await _enrol(AgentSettings(token=token), BusSettings(), [url], tmp_path / "nowhere")


async def test_whose_certificate_has_ended_enrols_again_and_whose_has_not_does_not(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    authority = ca.Authority.make(tmp_path / "fleet", now)
    authority.server(ca.Identity(tmp_path / "fleet"), ("localhost",), now)
    house = House(tmp_path, authority)
    house.now = now.timestamp()
    await house.begin()
    server = Server(house.coordinator.handle, ca.Identity(tmp_path / "fleet"), "127.0.0.1", 0)
    url = f"https://localhost:{await server.start()}"
    identity = ca.Identity(place(tmp_path / "agent", url))
    key, request = ca.request("alice")
    old, _, _ = authority.agent(request, "alice", now - dt.timedelta(days=ca.CERTIFICATE_DAYS))
    for path, content in ((identity.key, key), (identity.certificate, old), (identity.authority, authority.pem)):
        ca.write_private(path, content)
    for alias in ("alice", "bob"):
        token, hashed = ca.new_token(authority.fingerprint)
        house.state.add_token(hashed, alias, house.now + 10)
        await _enrol(AgentSettings(token=token, alias=alias), BusSettings(), [url], tmp_path / "agent")
    assert ca.ended(identity, now) == ""
    assert ca.alias_in(identity) == "alice", "bob's token was not used: alice's certificate is good"
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="of the alias bob; 'carol' takes a token of its own"):
        await _enrol(AgentSettings(token=token, alias="carol"), BusSettings(), [url], tmp_path / "other")
    await server.close()
    house.state.close()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("http://127.0.0.1",), 2, "not https://HOST"),
        (("https://192.0.2.1",), 1, "LONGLINE_CONFINE"),
        (("127.0.0.1:1",), 2, "enrol first"),
        (("127.0.0.1:1", "--token", "ll1.secretsecret"), 2, "not a token"),
        (("127.0.0.1:1", "--check"), 1, ""),
        (("127.0.0.1:1", "--grab", "all"), 2, "'all': not one of banner, tls, none"),
        (("127.0.0.1:1", "--blocklist-file", "nowhere"), 2, "nowhere"),
    ],
)
def test_bad_words(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    ran = longline("agent", "--engine", "connect", *words, cwd=tmp_path)
    assert ran.returncode == code, ran.stderr
    assert said in ran.stderr
    assert "secretsecret" not in ran.stderr
    assert "Traceback" not in ran.stderr
    if "--check" in words:
        assert ran.stdout.startswith("fail  https://127.0.0.1:1")
