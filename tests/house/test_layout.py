"""The house rules that a machine can see: the tree is mirrored, pure code is pure, each client has one importer."""

from __future__ import annotations

import ast
import itertools
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p.relative_to(ROOT) for p in (ROOT / "stages").rglob("*.py"))

#: Files without a test file of their own, each with what proves it.
TESTED_ELSEWHERE = {
    "stages/bannergrab/fixed.py": "tests/bannergrab/test_stage_compiled.py",
    "stages/bannergrab/line_kernel.py": "tests/bannergrab/test_lines.py",
    "stages/core/bus/base.py": "tests/core/bus/contract.py",
    "stages/cli/answering.py": "tests/integration/test_campaign.py",
    "stages/cli/campaign_assess.py": "tests/integration/test_campaign.py",
    "stages/cli/coordinator.py": "tests/integration/test_fleet.py",
    "stages/cli/fleet_sweeps.py": "tests/integration/test_campaign.py",
    "stages/cli/sweeps.py": "tests/integration/test_campaign.py",
    "stages/derive/shelf.py": "tests/derive/test_reprocess.py",
    "stages/fleet/link.py": "tests/fleet/test_agent.py",
    "stages/fleet/things.py": "tests/fleet/test_ledger.py",
    "stages/net/recordids.py": "tests/scanner/test_hits.py",
    "stages/scanner/hit_kernel.py": "tests/scanner/test_hits.py",
    "stages/sink/arrow.py": "tests/sink/test_dataset.py",
    "stages/sink/sqlite_history.py": "tests/sink/test_history.py",
    "stages/sink/mongo_history.py": "tests/sink/test_history.py",
    "stages/sink/mongo_survey.py": "tests/sink/test_survey.py",
    "stages/sink/sqlite_survey.py": "tests/sink/test_survey.py",
    "stages/sink/sqlite_corpus.py": "tests/sink/test_corpus.py",
    "stages/sink/mongo_corpus.py": "tests/sink/test_corpus.py",
}

#: A third-party client and the one file that may import it.
ONE_IMPORTER = {
    "aiohttp": {"stages/fleet/https.py"},
    "aiokafka": {"stages/core/bus/kafka.py"},
    "motor": {"stages/sink/mongo.py"},
    "pymongo": {"stages/sink/mongo.py"},
    "asyncio_dgram": {"stages/bannergrab/udp.py"},
    "scapy": {"stages/scanner/templates.py"},
    "pyroute2": {"stages/net/route.py", "stages/simnet/wiring.py"},
    "certifi": {"stages/derive/roots.py"},
    "pyarrow": {"stages/sink/arrow.py"},
    "redis": {"stages/scanner/redis.py"},
    "OpenSSL": {"stages/tlsgrab/openssl.py"},
}

#: Code that is a function of its arguments: no clock, no socket, no loop, no randomness of its own. These, and every
#: file that says of itself that it is "Pure."
PURE = [
    "stages/proto",
    "stages/core/outcome.py",
    "stages/core/errors.py",
    "stages/core/times.py",
    "stages/core/records.py",
    "stages/core/record_fields.py",
    "stages/core/events.py",
    "stages/core/schema.py",
    "stages/core/offsets.py",
    "stages/core/pacing.py",
    "stages/core/politeness.py",
    "stages/core/netset.py",
    "stages/core/ranges.py",
    "stages/core/special.py",
    "stages/core/policy.py",
    "stages/core/intake.py",
    "stages/core/routing.py",
    "stages/core/delays.py",
    "stages/core/concurrency.py",
    "stages/core/deadletters.py",
    "stages/core/ended.py",
    "stages/core/connecting.py",
    "stages/core/zgrab2.py",
    "stages/derive/paths.py",
    "stages/derive/verdicts.py",
    "stages/derive/sshkeys.py",
    "stages/derive/sightings.py",
    "stages/derive/questions.py",
    "stages/derive/availability.py",
    "stages/derive/state_documents.py",
    "stages/derive/faces.py",
    "stages/derive/moves.py",
    "stages/derive/outages.py",
    "stages/net/checksum.py",
    "stages/net/headers.py",
    "stages/net/siphash.py",
    "stages/net/wheel.py",
    "stages/scanner/permutation.py",
    "stages/scanner/space.py",
    "stages/scanner/validation.py",
    "stages/scanner/ports.py",
    "stages/scanner/dedup.py",
    "stages/scanner/rate.py",
    "stages/scanner/fields.py",
    "stages/scanner/frames.py",
    "stages/scanner/quantities.py",
    "stages/scanner/rows.py",
    "stages/scanner/spec.py",
    "stages/bannergrab/formats.py",
    "stages/sink/documents.py",
    "stages/sink/certificate_text.py",
    "stages/simnet/truth.py",
    "stages/simnet/compare.py",
    "stages/simnet/expectation.py",
    "stages/simnet/behaviours.py",
]
IMPURE = {"asyncio", "socket", "_socket", "select", "selectors", "time", "random", "secrets", "threading", "subprocess"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def is_empty(path: Path) -> bool:
    """Only a docstring, imports and `__all__`: nothing to test."""
    body = ast.parse((ROOT / path).read_text()).body
    return all(isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign) for node in body)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_source_file_has_its_test_file(source: Path) -> None:
    if source.name in {"__init__.py", "__main__.py"} and is_empty(source):
        return
    elsewhere = TESTED_ELSEWHERE.get(str(source))
    inside = source.relative_to("stages")
    name = "init" if source.name == "__init__.py" else source.stem
    expected = Path(elsewhere) if elsewhere else Path("tests") / inside.parent / f"test_{name}.py"
    assert (ROOT / expected).exists(), f"{source} has no {expected}"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_source_file_says_what_it_is(source: Path) -> None:
    assert ast.get_docstring(ast.parse((ROOT / source).read_text())), f"{source} has no docstring"


def says_it_is_pure(source: Path) -> bool:
    said = ast.get_docstring(ast.parse((ROOT / source).read_text())) or ""
    return source.name != "__init__.py" and re.search(r"\bPure[.;]", said) is not None


def pure_files() -> list[Path]:
    files = {source for source in SOURCES if says_it_is_pure(source)}
    for entry in PURE:
        path = ROOT / entry
        files |= {file.relative_to(ROOT) for file in (path.rglob("*.py") if path.is_dir() else [path])}
    return sorted(files)


@pytest.mark.parametrize("source", pure_files(), ids=str)
def test_pure_code_imports_no_socket_no_loop_no_clock(source: Path) -> None:
    assert not imported(source) & IMPURE


@pytest.mark.parametrize("client", sorted(ONE_IMPORTER))
def test_a_client_is_imported_in_one_file(client: str) -> None:
    importers = {str(s) for s in SOURCES if client in imported(s)}
    assert importers == ONE_IMPORTER[client]


def test_requirements_carry_hashes_and_no_address() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--index-url" not in text


def required() -> set[str]:
    """The libraries that are asked for by name, to run, to build or to test."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    for file in ("dev.in", "build.in"):
        asked += (ROOT / "requirements" / file).read_text().splitlines()
    names = (re.match(r"[A-Za-z0-9_.-]+", line) for line in asked if not line.startswith("#"))
    return {name[0] for name in names if name}


def test_each_library_has_its_line_and_each_line_a_library() -> None:
    rows = [line.split("|")[1] for line in (ROOT / "docs/dependencies.md").read_text().splitlines() if "|" in line]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert sorted(named) == sorted(required())
