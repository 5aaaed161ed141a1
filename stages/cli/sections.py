"""Every section of the settings, by the name it has in `longline.toml` and in the environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from stages.bannergrab.settings import BannergrabSettings
from stages.core.errors import SettingError
from stages.core.options import add_section, given
from stages.core.settings import (
    BusSettings,
    ListSettings,
    Loaded,
    MetricsSettings,
    PolitenessSettings,
    RunnerSettings,
    Section,
    StoreSettings,
    find_file,
    load,
)
from stages.derive.settings import CertsSettings
from stages.scanner.settings import ScannerSettings
from stages.sink.settings import ExportSettings, QuerySettings, SinkSettings
from stages.tlsgrab.settings import TlsgrabSettings

SECTIONS: Mapping[str, type[Section]] = {
    "bus": BusSettings,
    "store": StoreSettings,
    "metrics": MetricsSettings,
    "lists": ListSettings,
    "politeness": PolitenessSettings,
    "runner": RunnerSettings,
    "scanner": ScannerSettings,
    "bannergrab": BannergrabSettings,
    "tlsgrab": TlsgrabSettings,
    "sink": SinkSettings,
    "query": QuerySettings,
    "export": ExportSettings,
    "certs": CertsSettings,
}

#: A log that a command has no use for: it joins stages within one process, as tests do.
_MEMORY: Final = "memory:"

#: What can be read of a store (`stages.sink.store.Collection`; a test holds them equal).
READING = ("services", "hits", "banners", "tls", "certificates", "scans")


def add_settings(parser: argparse.ArgumentParser, *names: str, omit: Collection[str] = ()) -> None:
    """Offer `--settings` and the options of the sections called `names`, without the fields called `omit`."""
    parser.add_argument(
        "--settings", metavar="FILE", help="configuration file (default: longline.toml, then the system's)"
    )
    for name in names:
        add_section(parser, SECTIONS[name], omit=omit)


def load_settings(args: argparse.Namespace, *names: str, prefixes: Mapping[str, str] | None = None) -> Loaded:
    """All sections: defaults < file < environment < what was typed for `names` (and under `prefixes`: section ->
    prefix of its options). Raises SettingError."""
    typed = {name: given(args, SECTIONS[name]) for name in names}
    typed |= {name: given(args, SECTIONS[name], prefix=prefix) for name, prefix in (prefixes or {}).items()}
    explicit = Path(args.settings) if getattr(args, "settings", None) else None
    loaded = load(SECTIONS, argv=typed, environ=os.environ, file=find_file(explicit, Path.cwd()))
    bus = loaded.get("bus", BusSettings)
    for url in (bus.source, bus.sink):
        if url.startswith(_MEMORY):
            raise SettingError("bus", url, "a log in memory ends with its process, and nobody else can read it")
    return loaded
