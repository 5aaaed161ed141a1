"""docs/reference.md from the code: `python -m tests.docs.reference` writes it, a test holds it to what it says.

Settings, words of results, fields of records, metrics: each is declared once in the code, and this reads them there.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

from stages.bannergrab.metrics import BannergrabMetrics
from stages.campaign.metrics import CampaignMetrics
from stages.cli.assembly import guarded
from stages.cli.sections import SECTIONS
from stages.core import expiry
from stages.core.health import Heartbeat
from stages.core.metrics import Counter, Gauge, Gauges, Metrics
from stages.core.outcome import DeadReason, Outcome, Phase, Via
from stages.core.records import MAX_RECORD_BYTES
from stages.core.runner_metrics import RunnerMetrics
from stages.core.schema import json_schema
from stages.core.section import Section
from stages.core.settings import ListSettings
from stages.fleet.metrics import STATUSES, FleetMetrics
from stages.scanner.fields import fields_of
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.probes import NAMES as PROBES
from stages.sink.metrics import SinkMetrics
from stages.tlsgrab.metrics import TlsgrabMetrics
from tests.docs.blocks import ROOT

FILE: Final = ROOT / "docs" / "reference.md"

#: Labels whose values are not in the code -> what they are.
OPEN: Final = {
    "status": ", ".join(STATUSES), "agent": "enrolled agents' aliases", "campaign": "names of campaigns"
}  # fmt: skip

#: Stages that the one loop runs.
LOOPED: Final = ("bannergrab", "tlsgrab", "sink")

_HEAD: Final = """\
# Reference

Written by `python -m tests.docs.reference` from the code; a test holds it to what the code says.
"""

_SETTINGS: Final = """\
## Settings

Each table is a section of `longline.toml`. A key `K` of section `S` is `LONGLINE_<S>_<K>` in the environment, and
where it has options, these on the command line of the stages that it concerns. `longline run` takes the options of
bannergrab and tlsgrab in their long form as `--banner-...` and `--tls-...`. Durations are seconds or carry a unit
(`500ms`, `3s`, `2m`, `12h`, `90d`); sizes may carry K, M or G.
"""

_WORDS: Final = """\
## Words

What the outcomes mean stands in [outcomes.md](outcomes.md).
"""

_RECORDS: Final = f"""\
## Records

One line of JSON each, UTF-8, at most {MAX_RECORD_BYTES:,} bytes. Fields that are not always there are absent or null
when unknown; unknown fields are ignored, so that within one version an older program reads what a newer one wrote.
"""

_FIELDS: Final = """\
## Output fields of a scan

What `-f` of `longline scan` may name.
"""

_METRICS: Final = """\
## Metrics

On `/metrics`, in the Prometheus text format. Labels have only the values given here; there is never an address in one,
and the aliases of enrolled agents and the names of campaigns are the only open ones.
"""


def cell(text: object) -> str:
    """Text for a cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def code(text: object) -> str:
    return f"`{str(text).replace('|', chr(92) + '|')}`"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


# --- settings


def shown(value: object) -> str:
    """A default, as one would write it in the file."""
    if value is None or value in ((), ""):
        return ""
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, tuple):
        return code(",".join(map(str, value)))
    return code(f"{value:g}" if isinstance(value, float) else value)


def setting(section: type[Section], key: str, name: str) -> Sequence[str]:
    field, option = section.model_fields[name], section.option(name)
    flags = "TARGET ..." if option.positional else " ".join(map(code, option.flags))
    choices = f" ({', '.join(option.choices)})" if option.choices else ""
    return code(key), flags, shown(field.default), cell(option.help + choices)


def settings() -> Iterator[str]:
    yield _SETTINGS
    for name, section in SECTIONS.items():
        yield f"### [{name}]\n\n{section.title()}\n"
        rows = (setting(section, key, field) for key, field in section.names().items())
        yield from table(("key", "options", "default", "meaning"), rows)


# --- words


def remarks(words: type[StrEnum]) -> dict[str, str]:
    """value -> the remark that stands beside it in the source."""
    found = re.findall(r'^    \w+ = "(\w+)"(?:  #: (.*))?$', inspect.getsource(words), re.MULTILINE)
    return dict(found)


def words() -> Iterator[str]:
    yield _WORDS
    for title, kind in (("outcome", Outcome), ("phase", Phase), ("via", Via), ("reason of a dead letter", DeadReason)):
        told = remarks(kind)
        yield from table((title, ""), ((code(word), cell(told[word])) for word in kind))


# --- records


def type_of(field: dict[str, Any]) -> str:
    """A JSON Schema as a word or two."""
    if "anyOf" in field:
        return " or ".join(t for t in map(type_of, field["anyOf"]) if t != "null")
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2]).removesuffix("Model").lower()
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(map(code, field["enum"]))
    if field.get("type") == "array":
        return f"list of {type_of(field['items'])}"
    if field.get("contentEncoding") == "base64":
        return "base64"
    if field.get("format") == "date-time":
        return "RFC 3339 time"
    return str(field.get("type", "any"))


def records() -> Iterator[str]:
    yield _RECORDS
    schema = json_schema()
    for choice in schema["oneOf"]:
        name = choice["$ref"].rpartition("/")[2]
        model = schema["$defs"][name]
        yield f"### {name.removesuffix('Model').lower()}\n\n{model['description']}\n"
        required = set(model["required"])
        rows = (
            (code(key), cell(type_of(field)), "always" if key in required else "")
            for key, field in model["properties"].items()
        )
        yield from table(("field", "type", ""), rows)


def fields() -> Iterator[str]:
    yield _FIELDS
    for probe in PROBES:
        known = fields_of(probe)
        yield f"### {probe}\n"
        yield from table(("field", "type", "meaning"), ((code(f.name), f.type, cell(f.help)) for f in known))


# --- metrics


def every_metric() -> Metrics:
    """All metrics of a `longline run`, which has all stages in it, of a coordinator and of a conductor of campaigns."""
    metrics = Metrics()
    ScannerMetrics(metrics)
    for stage in LOOPED:
        RunnerMetrics(stage, metrics)
    BannergrabMetrics(metrics)
    TlsgrabMetrics(metrics)
    SinkMetrics(metrics)
    FleetMetrics(metrics)
    CampaignMetrics(metrics)
    Heartbeat(metrics)
    for whose in ("kafka", "mongodb"):
        expiry.watch(metrics, whose, f"{whose}.pem")

    async def with_lists() -> None:
        async with guarded(ListSettings(), metrics):
            pass

    asyncio.run(with_lists())
    return metrics


def metric_rows() -> Iterator[Sequence[str]]:
    for metric in sorted(every_metric(), key=lambda metric: metric.name):
        if isinstance(metric, Counter):
            label = f"{metric.label}: {', '.join(metric.cells)}" if metric.label else ""
            yield code(f"{metric.name}_total"), "counter", cell(label), cell(metric.help)
        elif isinstance(metric, Gauges):
            yield code(metric.name), "gauge", cell(f"{metric.label}: {OPEN[metric.label]}"), cell(metric.help)
        else:
            yield code(metric.name), "gauge" if isinstance(metric, Gauge) else "histogram", "", cell(metric.help)


def metrics() -> Iterator[str]:
    yield _METRICS
    yield from table(("metric", "type", "label", "meaning"), metric_rows())
    yield "Beside them `longline_build_info` and prometheus-client's own `process_*` and `python_*`."


def text() -> str:
    """The whole document."""
    parts = (settings(), words(), records(), fields(), metrics())
    return _HEAD + "\n" + "".join(f"{line}\n" for part in parts for line in part)


def main() -> int:
    FILE.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
