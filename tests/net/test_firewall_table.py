"""A table in the kernel of a namespace of our own, by nft as it is and as it may misbehave."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.net import firewall_rules, nft
from stages.net.firewall_owner import own_mark
from stages.net.firewall_rules import Mark, Rule
from stages.net.firewall_table import Table, clear
from tests.require import require
from tests.servers.inside import Inside, inside
from tests.servers.veth import NEAR, Veth, veth

RULE = Rule((NEAR,), (40000, 40100), "synack")
NAME = "longline_8_1"


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    require(shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), "needs nftables")
    with veth() as made:
        yield made


@pytest.fixture
def near(pair: Veth) -> Iterator[Inside]:
    with inside(pair.near_pid) as there:
        yield there
    pair.near("nft", "flush", "ruleset")


def tables(pair: Veth) -> list[str]:
    return firewall_rules.tables(pair.near("nft", "-j", "list", "tables", "ip").stdout)


def table(program: str = "", mark: Mark | None = None) -> Table:
    return Table(program or nft.program(), RULE, mark or own_mark(), 60)


def fake(folder: Path, first: str) -> str:
    """nft, after some lines of its own."""
    program = folder / "nft"
    program.write_text(f'#!/bin/sh\n{first}\nexec {nft.program()} "$@"\n')
    program.chmod(0o755)
    return str(program)


def test_it_comes_and_goes(pair: Veth, near: Inside) -> None:
    made = table()
    near(lambda: made.create(NAME))
    assert (made.name, tables(pair)) == (NAME, [NAME])
    near(made.renew)
    near(made.remove)
    assert (made.name, tables(pair)) == ("", [])
    near(made.remove)


def test_one_of_that_name_is_there(pair: Veth, near: Inside) -> None:
    pair.near("nft", "add", "table", "ip", NAME)
    made = table()
    with pytest.raises(nft.Exists):
        near(lambda: made.create(NAME))
    near(made.remove)
    assert tables(pair) == [NAME]


def test_somebody_deleted_it(pair: Veth, near: Inside) -> None:
    made = table()
    near(lambda: made.create(NAME))
    pair.near("nft", "delete", "table", "ip", NAME)
    with pytest.raises(nft.Absent):
        near(made.renew)
    near(made.remove)


def test_deleting_is_tried_again(pair: Veth, near: Inside, tmp_path: Path) -> None:
    once = tmp_path / "once"
    made = table(fake(tmp_path, f'if [ "$1" = delete ] && [ ! -e {once} ]; then touch {once}; exit 1; fi'))
    near(lambda: made.create(NAME))
    near(made.remove)
    assert once.exists()
    assert tables(pair) == []


def test_what_is_not_as_it_was_told_is_refused_and_can_be_removed(pair: Veth, near: Inside, tmp_path: Path) -> None:
    made = table(fake(tmp_path, f'[ "$1" != -f ] || exec {nft.program()} add table ip {NAME}'))
    with pytest.raises(nft.FirewallError, match="did not set up what it was told: chains are hooked as"):
        near(lambda: made.create(NAME))
    near(made.remove)
    assert tables(pair) == []


def test_a_kernel_that_cannot_spare_sockets(pair: Veth, near: Inside, tmp_path: Path) -> None:
    lines = (
        f'[ "$1" = -f ] || exec {nft.program()} "$@"\ntext=$(cat)\n'
        "case \"$text\" in *socket*) echo 'Error: No such file or directory' >&2; exit 1;; esac\n"
        f'echo "$text" | {nft.program()} "$@"; exit $?'
    )
    made = table(fake(tmp_path, lines))
    near(lambda: made.create(NAME))
    assert not made.sparing
    near(made.renew)
    near(made.remove)
    assert tables(pair) == []


def test_what_dead_owners_left_is_cleared_and_nothing_else(pair: Veth, near: Inside) -> None:
    own = own_mark()
    near(lambda: table(mark=dataclasses.replace(own, start=own.start - 1)).create("longline_8_1"))
    near(lambda: table(mark=dataclasses.replace(own, boot="0" * 36)).create("longline_8_2"))
    near(lambda: table(mark=dataclasses.replace(own, pidns=1, pid=1)).create("longline_9_1"))  # who knows?
    near(lambda: table().create("longline_9_2"))
    pair.near("nft", "add table ip longline_7_1; add table ip other; add table ip6 longline_7_2")
    assert near(lambda: clear(nft.program())) == (["longline_7_1"], ["longline_8_1", "longline_8_2"])
    assert tables(pair) == ["longline_9_1", "longline_9_2", "longline_7_1"]
    assert "ip6 longline_7_2" in pair.near("nft", "list", "tables").stdout


def test_a_foreign_table_that_nft_cannot_show(pair: Veth, near: Inside, tmp_path: Path) -> None:
    program = fake(tmp_path, 'case "$*" in *longline_7_1*) echo "Error: unknown expression" >&2; exit 1;; esac')
    pair.near("nft", "add", "table", "ip", "longline_7_1")
    assert near(lambda: clear(program)) == (["longline_7_1"], [])


@pytest.mark.parametrize(
    ("said", "kind"),
    [("Operation not permitted", nft.Forbidden), ("JSON support not compiled-in", nft.Missing)],
)
def test_clearing_is_refused(near: Inside, tmp_path: Path, said: str, kind: type[OSError]) -> None:
    program = fake(tmp_path, f'echo "Error: {said}" >&2; exit 1')
    with pytest.raises(kind):
        near(lambda: clear(program))
