"""The bill of materials of an image, in CycloneDX 1.6: Python's packages and Debian's, each with version and licence.

`python3 sbom.py PACKAGES ROOT OUT`: the folder of Python's packages, the folder that becomes the image, the file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

#: Classifier of a licence: its last part is its name.
_LICENCE = "License :: "


def licences(distribution: Distribution) -> list[dict[str, Any]]:
    """As SPDX expression where the package says one, else by name."""
    said = distribution.metadata
    if expression := said.get("License-Expression"):
        return [{"expression": expression}]
    names = [c.rpartition(" :: ")[2] for c in said.get_all("Classifier") or () if c.startswith(_LICENCE)]
    text = (said.get("License") or "").strip()
    if not names and text and "\n" not in text:
        names = [text]
    return [{"license": {"name": name}} for name in names]


def python_packages(folder: Path) -> Iterator[dict[str, Any]]:
    for distribution in sorted(distributions(path=[str(folder)]), key=lambda d: d.metadata["Name"].lower()):
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()  # PEP 503
        yield {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{distribution.version}",
            "name": name,
            "version": distribution.version,
            "purl": f"pkg:pypi/{name}@{distribution.version}",
            "licenses": licences(distribution),
        }


def debian_packages(root: Path) -> Iterator[dict[str, Any]]:
    """Packages that the system's files below `root` came from."""
    files = [f"/{path.relative_to(root)}" for top in ("lib", "lib64", "usr") for path in (root / top).rglob("*.so*")]
    python = [f"/{path.relative_to(root)}" for path in (root / "usr" / "lib").glob("python3*/os.py")]
    owners: set[str] = set()
    for file in files + python:
        for place in (file, f"/usr{file}"):  # the two are one since the merger of /usr
            told = subprocess.run(["dpkg-query", "-S", place], capture_output=True, text=True, check=False).stdout
            owners |= {line.partition(": ")[0] for line in told.splitlines()}
    for owner in sorted(owners):
        asked = ["dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}", owner]
        name, version, architecture = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
        purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def main(packages: str, root: str, out: str) -> None:
    components = [*python_packages(Path(packages)), *debian_packages(Path(root))]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "longline", "bom-ref": "longline"}},
        "components": components,
    }
    Path(out).write_text(json.dumps(bill, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
