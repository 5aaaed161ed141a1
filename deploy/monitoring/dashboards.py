"""Grafana's JSON of the boards, by its own foundation SDK. Pure.

The data source is a variable, so a dashboard moves between installations; its uid is fixed and it carries no id.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from deploy.monitoring.panels import ANNOTATIONS, Board, Panel

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="$source")

#: Grafana's grid is 24 wide.
WIDTH: Final = 24
TALL: Final = {"timeseries": 8, "stat": 4}
A_LINE: Final = 4  #: panels


def _panel(panel: Panel, number: int, span: int) -> Any:
    made: Any = stat.Panel() if panel.kind == "stat" else timeseries.Panel()
    made = made.id(number).title(panel.title).description(panel.about).unit(panel.unit).datasource(SOURCE)
    made = made.span(span).height(TALL[panel.kind])
    if panel.kind == "timeseries":
        made = made.min(0)
    for at, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + at))
        made = made.with_target(target)
    return made


def build(board: Board) -> str:
    """The board as the JSON that Grafana provisions."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["longline"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("utc")
        .with_variable(dashboard.DatasourceVariable("source").type("prometheus").label("Data source"))
    )
    for name, expr in ANNOTATIONS.items():
        made = made.annotation(dashboard.AnnotationQuery().name(name).datasource(SOURCE).expr(expr).enable(True))
    numbers = itertools.count(1)
    for title, panels in board.rows:
        made = made.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in panels:
            made = made.with_panel(_panel(panel, next(numbers), WIDTH // min(len(panels), A_LINE)))
    return json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(made.build())), indent=1, sort_keys=True) + "\n"
