"""What the prose names exists: options, environment variables, files that are linked, the words of a result."""

from __future__ import annotations

import argparse
import importlib
import re

import pytest

from stages.cli.main import COMMANDS
from stages.cli.masscan.options import OPTIONS
from stages.cli.masscan.table import flag
from stages.cli.sections import SECTIONS
from stages.core.bus.base import Topics
from stages.core.outcome import DeadReason, Outcome, Phase
from stages.core.settings import PolitenessSettings
from stages.scanner.settings import DEFAULT_RATE
from tests.docs.blocks import DOCUMENTS, ROOT, SHELL, blocks_of

#: Read by the program itself, not through the settings.
OWN_VARIABLES = {"LONGLINE_CONFINE", "LONGLINE_LOG", "LONGLINE_LOG_FORMAT", "LONGLINE_NO_SYSTEM_CONFIG"}

#: Options of programs that are not ours: Docker's, buildah's, kubectl's.
OF_OTHERS = {"--profile", "--rm", "--target", "--build-arg", "--cap-add", "--from-literal"}


def options() -> set[str]:
    """Every long option of every command."""
    known = {"--help", "--version"}
    known.update(flag(name) for option in OPTIONS for name in option.names)
    known.add("--resume")
    known.add("--conf")
    for name in COMMANDS:
        parser = argparse.ArgumentParser()
        module = importlib.import_module(f"stages.cli.{name}")
        if not hasattr(module, "add_arguments"):  # masscan's command line, above
            continue
        module.add_arguments(parser)
        known.update(flag for action in parser._actions for flag in action.option_strings if flag.startswith("--"))
    return known


def read(file: str) -> str:
    return (ROOT / file).read_text()


def said(file: str) -> str:
    """Shell blocks, and what stands outside of blocks: no pictures, no programs."""
    text = read(file)
    for block in blocks_of(text, file):
        if block.language not in SHELL:
            text = text.replace(block.text, "")
    return text


@pytest.mark.parametrize("file", DOCUMENTS)
def test_options_exist(file: str) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])", said(file)))
    assert named - options() - OF_OTHERS == set()


@pytest.mark.parametrize("file", DOCUMENTS)
def test_environment_variables_exist(file: str) -> None:
    known = OWN_VARIABLES | {
        f"LONGLINE_{section}_{key}".upper() for section, kind in SECTIONS.items() for key in kind.names()
    }
    named = set(re.findall(r"LONGLINE_[A-Z_]+[A-Z]", read(file))) - known
    assert {name for name in named if name.removesuffix("_FILE") not in known} == set()


@pytest.mark.parametrize("file", DOCUMENTS)
def test_links_lead_somewhere(file: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(file)):
        assert (ROOT / file).parent.joinpath(target).exists(), f"{file} links {target}"


@pytest.mark.parametrize("file", DOCUMENTS)
def test_commands_in_the_text_exist(file: str) -> None:
    """`longline xyz` in running text, or in a shell block, names a command."""
    shell = "".join(b.text for b in blocks_of(read(file), file) if b.language in SHELL)
    inline = "\n".join(re.findall(r"`([^`\n]+)`", read(file)))
    named = set(re.findall(r"(?:^|[ |])longline ([a-z]+)\b(?![./=])", f"{shell}\n{inline}", re.MULTILINE))
    assert named - set(COMMANDS) == set()


def test_every_word_of_a_result_is_explained() -> None:
    text = read("docs/outcomes.md")
    rows = re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE)
    assert rows == [str(outcome) for outcome in Outcome]
    [phases] = re.findall(r"^Phases: (.*)\.$", text, re.MULTILINE)
    assert re.findall(r"`([a-z]+)`", phases) == [str(phase) for phase in Phase]
    assert all(f"`{reason}`" in text for reason in DeadReason)


def test_the_readme_tells_the_defaults() -> None:
    text = " ".join(read("README.md").split())
    politeness = PolitenessSettings()
    assert f"The default is {DEFAULT_RATE:,.0f} packets a second" in text
    assert politeness.per_host == 2
    assert f"at most two connections to a host and {politeness.per_prefix:.0f} a second to a /24" in text


@pytest.mark.parametrize("file", DOCUMENTS)
def test_topics_exist(file: str) -> None:
    topics = Topics("longline")
    known = {topics.hits, topics.banners, topics.tls, topics.scans, topics.events, topics.dead, topics.orders}
    known |= {topics.agents, topics.claims, topics.work}
    assert set(re.findall(r"`(longline\.[a-z.]+\.v\d+)`", read(file))) - known == set()


def test_the_ethics_come_first() -> None:
    text = read("README.md")
    assert text.index("## Scanning is not a private matter") < text.index("```sh")
