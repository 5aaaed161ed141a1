"""The bill of materials of an image, in CycloneDX 1.6: Python's packages and Debian's, each with version and licence.

It stands in the image as sbom.cdx.json beside the environment.
"""

from __future__ import annotations

import json
import re
import subprocess
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
    found = [path for top in ("lib", "lib64", "usr") for path in (root / top).rglob("*.so*")]
    found += [*(root / "usr" / "lib").glob("python3*/os.py"), *(root / "usr" / "sbin").glob("*")]
    owners: set[str] = set()
    for file in (f"/{path.relative_to(root)}" for path in found):
        for place in (file, f"/usr{file}"):  # the two are one since the merger of /usr
            told = subprocess.run(["dpkg-query", "-S", place], capture_output=True, text=True, check=False).stdout
            owners |= {line.partition(": ")[0] for line in told.splitlines()}
    for owner in sorted(owners):
        asked = ["dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}", owner]
        name, version, architecture = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
        purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def write(root: Path, environment: Path) -> None:
    """Put the bill into `root`, the folder that becomes the image, where `environment` stands in it."""
    home = root / environment.relative_to("/")
    packages = next(home.glob("lib/python3*/site-packages"))
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "longline", "bom-ref": "longline"}},
        "components": [*python_packages(packages), *debian_packages(root)],
    }
    (home / "sbom.cdx.json").write_text(json.dumps(bill, indent=1) + "\n")
