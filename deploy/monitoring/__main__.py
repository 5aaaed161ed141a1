"""Write what the code says: `python -m deploy.monitoring`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.monitoring import dashboards, rules
from deploy.monitoring.panels import BOARDS

DEPLOY: Final = Path(__file__).resolve().parents[1]
_WRITTEN: Final = "# Written by `python -m deploy.monitoring`.\n"


def files() -> Iterator[tuple[Path, str]]:
    """Every file that is made, with what is to stand in it."""
    for board in BOARDS:
        name = board.uid.removeprefix("longline-")
        yield DEPLOY / "grafana" / "dashboards" / f"{name}.json", dashboards.build(board)
    yield DEPLOY / "prometheus" / "rules.yaml", _yaml(rules.groups())
    yield DEPLOY.parent / "k8s" / "components" / "monitoring" / "rules.yaml", _yaml(rules.resource())


def _yaml(document: dict[str, Any]) -> str:
    return _WRITTEN + yaml.safe_dump(document, sort_keys=False, width=1_000)


def main() -> None:
    for path, text in files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
