"""Every command of the documents runs: typed as it stands, but for the replacements of the table in `plays.py`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import SHELL, Block, blocks
from tests.docs.plays import PLAYS, Play
from tests.docs.stage import Said, Stage
from tests.require import require

BLOCKS = blocks(*SHELL)


def test_every_block_has_its_play_and_every_play_its_block() -> None:
    places = [block.place for block in BLOCKS]
    assert len(places) == len(set(places)), "one shell block a heading: a play is found by it"
    assert set(places) == set(PLAYS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_every_replacement_stands_in_its_block(block: Block) -> None:
    play = PLAYS[block.place]
    assert [words for words in play.replace if words not in block.text] == []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_make_is_typed_on_its_own_ground_only(block: Block) -> None:
    """The grounds on which nothing is run are for the verbs of make, and for what needs another machine, alone."""
    verbs = [command.startswith("make ") for command in block.commands]
    assert verbs == [PLAYS[block.place].ground == "make"] * len(verbs)
    if PLAYS[block.place].ground == "elsewhere":
        assert {command.split()[0] for command in block.commands} <= {"docker", "kubectl", "mkdir", "echo"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_every_command_runs(block: Block, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    play = PLAYS[block.place]
    stage = Stage(tmp_path, environment=play.environment)
    if play.ground in ("make", "elsewhere"):
        stage.said += [Said(command, 0, "", "") for command in block.commands]
        play.seen(stage)
        return
    require(shutil.which("bash"), "bash")
    require("zmap " not in block.text or shutil.which("zmap", path="/usr/sbin:/usr/bin"), "ZMap (Debian: zmap)")
    require(not play.root or os.geteuid() == 0, "root, for network namespaces")
    if play.ground == "simnet":
        stage.net = request.getfixturevalue("docs_net")
        if "--grab" in block.text or "--via raw" in block.text:
            request.getfixturevalue("compiled")
    servers = request.getfixturevalue("docs_servers") if play.servers else {}
    if play.file is not None:
        name, language = play.file
        [beside] = [b for b in blocks(language) if b.place == block.place]
        (tmp_path / name).write_text(beside.text)
    with stage.running():
        for command in block.commands:
            stage.type(as_typed(command, play, servers))
        play.seen(stage)


def as_typed(command: str, play: Play, servers: dict[str, str]) -> str:
    """The command with the words of this machine."""
    for words, ours in play.replace.items():
        command = command.replace(words, servers.get(ours, ours))
    return command
