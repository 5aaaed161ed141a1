"""A recipe followed: its files and its lines put into a copy of `stages`.

In a recipe a `python` or `toml` block that begins with `# PATH` is a new file; a `diff` block begins with the path of a
file that is there, then has lines as `diff -u` writes them: unchanged ones (a blank in front) tell where, `-` goes, `+`
comes.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.docs.blocks import ROOT, blocks_of

#: Seconds for a command of a copy: its kernels may have to be compiled.
PATIENCE: Final = 120


@dataclass(frozen=True, slots=True)
class Kitchen:
    """A copy of `stages`, and the recipe's own file in it."""

    folder: Path
    made: Path  #: the first new file
    changed: tuple[Path, ...]  #: files that got lines, and new Python files after the first

    @property
    def site(self) -> Path:
        """Where `install` puts what it installs."""
        return self.folder / "site"

    def install(self) -> None:
        """Install the recipe's package, as `pip install .` does, and take its sources away."""
        flags = ("--no-index", "--no-deps", "--no-build-isolation", "--target", str(self.site))
        ran = self.run("-m", "pip", "install", "-q", *flags, ".")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        shutil.rmtree(self.made.parent)

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Python of this environment, with the copy in place of the package."""
        paths = f"{self.folder}{os.pathsep}{self.site}"
        env = {**os.environ, "PYTHONPATH": paths, "LONGLINE_CONFINE": "1"}
        return subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=env, capture_output=True, text=True, timeout=PATIENCE,
            check=False, input=stdin,
        )  # fmt: skip

    def longline(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.run("-m", "stages.cli.main", *words, stdin=stdin)

    def module(self) -> ModuleType:
        """The recipe's file, loaded into this process, over the package of this tree."""
        spec = importlib.util.spec_from_file_location(f"recipe_{self.made.stem}", self.made)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def follow(recipe: str, folder: Path) -> Kitchen:
    """Do what docs/recipes/`recipe` says, in `folder`. Raises ValueError where a line that it names is not there."""
    # With the compiled kernels and their sources' times, so that only what is new is compiled.
    shutil.copytree(ROOT / "stages", folder / "stages")
    file = f"docs/recipes/{recipe}"
    made, changed = None, []
    for block in blocks_of((ROOT / file).read_text(), file):
        first, _, rest = block.text.partition("\n")
        if block.language in ("python", "toml"):
            path = folder / first.removeprefix("# ")
            if path.exists():
                raise ValueError(f"{file}:{block.line}: {first} is there already")
            path.parent.mkdir(exist_ok=True)
            path.write_text(rest)
            if made is None:
                made = path
            elif path.suffix == ".py":
                changed.append(path)
        elif block.language == "diff":
            path = folder / first
            path.write_text(patched(path.read_text(), rest, f"{file}:{block.line}"))
            changed.append(path)
    assert made is not None
    return Kitchen(folder, made, tuple(changed))


def patched(text: str, diff: str, place: str) -> str:
    """`text` with the lines of `diff` applied in order. Raises ValueError."""
    lines, at = text.splitlines(), 0
    for line in diff.splitlines():
        sign, words = line[:1] or " ", line[1:]
        if sign == "+":
            lines.insert(at, words)
            at += 1
            continue
        if words not in lines[at:]:
            raise ValueError(f"{place}: no line {words!r}")
        at = lines.index(words, at)
        if sign == "-":
            del lines[at]
        else:
            at += 1
    return "\n".join(lines) + "\n"
