"""A service's state as it is stored, and back. Pure.

{"_id", "ip", "address", "port", "transport", "name", "last_changed", "last_seen", "down_since", "missing": true,
 "row": [{"started", "ended", "scan", "vantage"}], "shown": {"banner": {"hash", "how", "since", ...}, ...},
 "hashes": [what could turn up elsewhere], "tell": [events not known to be told, as lines], "look": true}

What is not so is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.core.events import parse
from stages.derive.availability import Miss, Shown, State


def document(state: State) -> dict[str, Any]:
    """As a store keeps it."""
    said: dict[str, Any] = {
        "_id": state.id,
        "ip": state.ip,
        "address": state.address,
        "port": state.port,
        "transport": state.transport,
        "last_changed": state.last_changed,
        "last_seen": state.last_seen,
        "shown": {str(kind): _shown(one) for kind, one in state.shown.items()},
        "hashes": sorted({one.hash for one in state.things.values()}),
    }
    if state.name:
        said["name"] = state.name
    if state.down_since is not None:
        said["down_since"] = state.down_since
    if state.row:
        said["missing"] = True
        said["row"] = [
            {"started": miss.started, "ended": miss.ended, "scan": miss.scan, "vantage": miss.vantage}
            for miss in state.row
        ]
    if state.tell:
        said["tell"] = [event.dump().decode() for event in state.tell]
    if state.look:
        said["look"] = True
    return said


def _shown(one: Shown) -> dict[str, Any]:
    texts = {"how": one.how, "digest": one.digest, "said": one.said}
    return {"hash": one.hash, "since": one.since, **{key: text for key, text in texts.items() if text}}


def state_of(document: Mapping[str, Any]) -> State:
    """The inverse of `document`."""
    down_since = document.get("down_since")
    return State(
        id=document["_id"],
        ip=document["ip"],
        address=bytes(document["address"]),
        port=int(document["port"]),
        transport=document["transport"],
        name=document.get("name", ""),
        last_changed=int(document["last_changed"]),
        last_seen=int(document["last_seen"]),
        down_since=None if down_since is None else int(down_since),
        row=tuple(
            Miss(int(miss["started"]), int(miss["ended"]), miss["scan"], miss["vantage"])
            for miss in document.get("row", ())
        ),
        shown={
            kind: Shown(one["hash"], one.get("how", ""), int(one["since"]), one.get("digest", ""), one.get("said", ""))
            for kind, one in document["shown"].items()
        },
        tell=[parse(line.encode()) for line in document.get("tell", ())],
        look=bool(document.get("look", False)),
    )
