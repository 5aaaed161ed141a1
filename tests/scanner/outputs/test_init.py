from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from stages.core.errors import UsageError
from stages.scanner import listing, outputs
from stages.scanner.fields import choose
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.outputs.null import Null
from stages.scanner.results import check_results
from stages.scanner.settings import ScannerSettings
from tests.servers.answers import rst, synack, unreachable


@pytest.mark.parametrize("name", outputs.NAMES)
def test_every_module_writes_whole_lines(name: str) -> None:
    wanted = Format(choose("*", "tcp_synscan"), HitLines(HitSource("s", "tcp_synscan")))
    module, other = outputs.get(name)(wanted), outputs.get(name)(wanted)
    answers = [synack(), rst(), unreachable()]
    data = module.begin() + module.render(answers[:1]) + module.render(answers[1:])
    assert data == other.begin() + other.render(answers)
    assert data == b"" or data.endswith(b"\n") or name == "binary"


class Helpful(Null):
    help = "nothing, with words"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What other packages have installed: a module, one that is gone, one that has a name of ours."""
    points = [
        EntryPoint("helpful", "tests.scanner.outputs.test_init:Helpful", outputs.GROUP),
        EntryPoint("gone", "no_such_package:X", outputs.GROUP),
        EntryPoint("csv", "no_such_package:X", outputs.GROUP),
    ]
    monkeypatch.setattr(outputs, "entry_points", lambda *, group: [one for one in points if one.group == group])
    outputs._others.cache_clear()
    yield
    outputs._others.cache_clear()


@pytest.mark.usefixtures("others")
def test_modules_of_other_packages() -> None:
    assert outputs.names() == (*outputs.NAMES, "helpful", "gone")
    assert outputs.get("helpful").__name__ == "Helpful"  # type: ignore[attr-defined]
    assert outputs.get("csv").__name__ == "Csv"  # type: ignore[attr-defined]
    told = (listing.text(ScannerSettings(list_output_modules=True)) or "").splitlines()
    assert told[: len(outputs.NAMES)] == list(outputs.NAMES)
    assert told[len(outputs.NAMES)] == "helpful: nothing, with words"
    assert told[-1].startswith("gone: output module 'gone' (no_such_package:X) cannot be loaded: No module named")
    with pytest.raises(UsageError, match=r"-O/--output-module: 'gone': .* cannot be loaded"):
        check_results(ScannerSettings.model_construct(output_module="gone", output_args=None, output_file=None))
    with pytest.raises(ValueError, match="unknown output module 'xmk'; there are csv,"):
        outputs.get("xmk")
