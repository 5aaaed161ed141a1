"""Every section of the settings, by the name it has in `longline.toml` and in the environment."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from stages.bannergrab.settings import BannergrabSettings
from stages.campaign.settings import CampaignSettings
from stages.cli import reach, system
from stages.core.errors import SettingError
from stages.core.layers import SYSTEM_DIRECTORY, Given
from stages.core.options import add_section, given
from stages.core.settings import (
    BusSettings,
    ContinueSettings,
    LagSettings,
    ListSettings,
    Loaded,
    MetricsSettings,
    OrdersSettings,
    PolitenessSettings,
    RunnerSettings,
    Section,
    StoreSettings,
    TopicSettings,
    find_file,
    load,
)
from stages.derive.settings import CertsSettings, DiffSettings, StatsSettings
from stages.fleet.settings import AgentSettings, CoordinatorSettings, FleetSettings, NoticeSettings
from stages.scanner.grab_settings import GrabSettings
from stages.scanner.settings import ScannerSettings
from stages.scanner.zmap_settings import ZmapSettings
from stages.sink.settings import DatasetSettings, EraseSettings, ExportSettings, QuerySettings, SinkSettings
from stages.tlsgrab.settings import TlsgrabSettings

SECTIONS: Mapping[str, type[Section]] = {
    "bus": BusSettings,
    "topics": TopicSettings,
    "store": StoreSettings,
    "lag": LagSettings,
    "metrics": MetricsSettings,
    "lists": ListSettings,
    "orders": OrdersSettings,
    "politeness": PolitenessSettings,
    "runner": RunnerSettings,
    "continue": ContinueSettings,
    "scanner": ScannerSettings,
    "grab": GrabSettings,
    "zmap": ZmapSettings,
    "bannergrab": BannergrabSettings,
    "tlsgrab": TlsgrabSettings,
    "sink": SinkSettings,
    "erase": EraseSettings,
    "query": QuerySettings,
    "stats": StatsSettings,
    "diff": DiffSettings,
    "export": ExportSettings,
    "dataset": DatasetSettings,
    "certs": CertsSettings,
    "fleet": FleetSettings,
    "coordinator": CoordinatorSettings,
    "agent": AgentSettings,
    "notice": NoticeSettings,
    "campaign": CampaignSettings,
}

#: A log that a command has no use for: it joins stages within one process, as tests do.
_MEMORY: Final = "memory:"

_SQLITE: Final = "sqlite:"

#: Sections whose options a configuration file of ZMap may name.
OF_ZMAP: Final = ("scanner", "zmap", "lists")

#: What can be read of a store (`stages.sink.store.Collection`; a test holds them equal).
READING = ("services", "hits", "banners", "tls", "certificates", "scans")

#: What else `longline query` can show: what happened to services (`stages.cli.happened`; a test holds them equal).
HAPPENED = ("outages", "events")


def add_settings(parser: argparse.ArgumentParser, *names: str, omit: Collection[str] = ()) -> None:
    """Offer `--settings` and the options of the sections called `names`, without the fields called `omit`."""
    parser.add_argument(
        "--settings", metavar="FILE", help="configuration file (default: longline.toml, then the system's)"
    )
    parser.add_argument(
        "--no-system-config",
        action="store_true",
        default=argparse.SUPPRESS,
        help="leave the files of /etc/longline and /etc/zmap alone, and the block lists that they name",
    )
    for name in names:
        add_section(parser, SECTIONS[name], omit=omit)


def add_zmap_config(parser: argparse.ArgumentParser) -> None:
    """Offer `-C`, for a command that reads ZMap's configuration files: `load_settings` with `zmap=True`."""
    parser.add_argument(
        "-C",
        "--config",
        metavar="FILE",
        help="configuration file of ZMap's kind; the command line wins over it (default: /etc/zmap/zmap.conf)",
    )


def load_settings(
    args: argparse.Namespace,
    *names: str,
    prefixes: Mapping[str, str] | None = None,
    own_file: bool = False,
    spec: Mapping[str, Mapping[str, object]] | None = None,
    zmap: bool = False,
    given_in: Sequence[Given] = (),
) -> Loaded:
    """All sections: defaults < file < environment < what was typed for `names` (and under `prefixes`: section ->
    prefix of its options). Raises SettingError, and Confined where LONGLINE_CONFINE is set and the bus or store in
    `names` is on another host; `own_file`: the command's one log is its store's file, whatever is set.
    `spec`: values below what was typed (`stages.cli.spec`). `zmap`: ZMap's configuration files count too.
    `given_in`: values of a file of the command's own, above all but what was typed."""
    typed = {name: given(args, SECTIONS[name]) for name in names}
    typed |= {name: given(args, SECTIONS[name], prefix=prefix) for name, prefix in (prefixes or {}).items()}
    if spec is not None:
        typed = _under(typed, spec)
    explicit = Path(args.settings) if getattr(args, "settings", None) else None
    honoured = system.honoured(getattr(args, "no_system_config", False))
    file = find_file(explicit, Path.cwd(), SYSTEM_DIRECTORY if honoured else None)
    own = {name: SECTIONS[name] for name in OF_ZMAP}
    config = Path(args.config).expanduser() if zmap and args.config is not None else None
    below = list(system.own_lists(file)) if honoured else []
    if honoured and zmap:
        below += system.of_zmap(own, lists_only=config is not None)
    above = [*([] if config is None else system.of_file(config, own)), *given_in]
    loaded = load(SECTIONS, argv=typed, environ=os.environ, file=file, below=below, above=above)
    bus = loaded.get("bus", BusSettings)
    for url in (bus.source, bus.sink):
        if url.startswith(_MEMORY):
            raise SettingError("bus", url, "a log in memory ends with its process, and nobody else can read it")
    urls = [("--store", loaded.get("store", StoreSettings).url)] if "store" in names else []
    if "bus" in names and not own_file:
        urls += [
            ("--bus" if bus.from_ is None else "--from", bus.source),
            ("--bus" if bus.to is None else "--to", bus.sink),
        ]
    for option, url in urls:
        _folder_of(option, url)
        if not own_file:
            reach.check(url)
    return loaded


def _under(
    typed: Mapping[str, Mapping[str, object]], spec: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, object]]:
    """What is typed over what the specification says; what adds up is joined."""
    merged = {section: dict(values) for section, values in typed.items()}
    for section, values in spec.items():
        into = merged.setdefault(section, {})
        for name, value in values.items():
            own = into.get(name)
            if own is None:
                into[name] = value
            elif SECTIONS[section].option(name).adds_up and isinstance(own, tuple) and isinstance(value, tuple):
                into[name] = (*value, *own)
    return merged


def _folder_of(option: str, url: str) -> None:
    """Raise SettingError if `url` is a file in a folder that is not there; SQLite says only that it cannot open it."""
    if url.startswith(_SQLITE):
        folder = Path(url.removeprefix(_SQLITE)).parent
        with contextlib.suppress(PermissionError):  # it may be there: who opens the file says so better
            if not folder.exists():
                raise SettingError(option, url, f"there is no folder {folder}")
