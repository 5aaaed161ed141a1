"""The far process, by what it tells the warden and what the caller is told."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from stages.simnet import far
from stages.simnet.network import Simnet, SimnetError
from stages.simnet.sorts import PLAN
from stages.simnet.spec import MAX_LISTENERS, Mode, Spec
from stages.simnet.truth import LOOPBACK_SHARES, Shares


def test_it_reports_every_certificate(simnet_small: Simnet) -> None:
    assert len(simnet_small.chains) == len(PLAN)
    assert all(len(sha256) == 64 for chain in simnet_small.chains for sha256 in chain)
    assert simnet_small.root[0] == 0x30


def test_one_socket_a_port_where_a_filter_decides() -> None:
    assert far._places(Spec(), Spec().truth()) == [("0.0.0.0", 22), ("0.0.0.0", 80), ("0.0.0.0", 443)]


def test_one_socket_a_service_on_loopback() -> None:
    spec = Spec().on_loopback()
    places = far._places(spec, spec.truth())
    assert places == [(ip, port) for ip, port, _ in spec.truth().services()]
    assert all(ip.startswith("127.") for ip, _ in places)


def test_too_many_for_loopback() -> None:
    spec = replace(Spec().on_loopback(), targets=("127.64.0.0/16",))
    with pytest.raises(ValueError, match=f"at most {MAX_LISTENERS}"):
        far._places(spec, spec.truth())
    with pytest.raises(SimnetError, match=f"at most {MAX_LISTENERS}"):
        Simnet(spec).start()


def test_a_taken_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.77.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        spec = Spec(
            targets=("127.77.0.1/32",),
            ports=(port,),
            shares=Shares(open=1.0, filtered=0.0, rejected=0.0, limited=0.0),
            mode=Mode.LOOPBACK,
        )
        with pytest.raises(SimnetError, match="in use"):
            Simnet(spec).start()


def test_too_many_rules_are_said() -> None:
    with pytest.raises(SimnetError, match="can have rules"):
        Simnet(Spec(targets=("10.0.0.0/11",))).start()


def test_without_servers_and_rules_it_only_stands_there() -> None:
    with Simnet(Spec(servers=False, rules=False)) as net:
        assert net.alive
        assert net.chains == ()


def test_loopback_shares_have_nothing_but_open_and_closed() -> None:
    assert (LOOPBACK_SHARES.filtered, LOOPBACK_SHARES.rejected, LOOPBACK_SHARES.limited) == (0.0, 0.0, 0.0)
