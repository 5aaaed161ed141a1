"""The README shows what the demo prints: the demo is run, as `make demo` runs it, and its report is compared."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import one
from tests.docs.stage import Stage
from tests.require import require

#: The one figure of the report that is not a function of the seed.
DURATION = re.compile(r" in \d+(\.\d+)? s: ")


def without_duration(text: str) -> str:
    assert len(DURATION.findall(text)) == 1
    return DURATION.sub(" in N s: ", text).strip()


@pytest.mark.slow
def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "root, for the demo in a namespace")
    require(shutil.which("nft", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")), "nftables")
    ran = Stage(tmp_path).run("longline demo --no-view")
    assert ran.code == 0, ran.err + ran.out
    shown = one("README.md", "Two commands", "").text
    assert without_duration(ran.out) == without_duration(shown)
    assert list(tmp_path.iterdir()) == []
