"""Where the results of a scan go besides the bus: what -o, -O and --output-args ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.core.errors import UsageError
from stages.core.section import masked
from stages.scanner import outputs
from stages.scanner.destination import STDOUT, FileDestination
from stages.scanner.outputs.base import Format
from stages.scanner.rotation import open_file
from stages.scanner.settings import ScannerSettings

if TYPE_CHECKING:
    from stages.scanner.redis import RedisDestination


def open_results(
    settings: ScannerSettings, module: str, wanted: Format, *, published: bool
) -> FileDestination | RedisDestination | None:
    """The destination, opened, and nothing in it changed. None: with a bus (`published`) the results are there, and a
    file as well only where one was asked for. `module` is the output module's name.

    Raises UsageError when a file cannot be written, MissingCapability, Confined.
    """
    if module == "redis":
        from stages.scanner.outputs.redis import Redis
        from stages.scanner.redis import RedisDestination  # with its client, which takes its time

        return RedisDestination(Redis(wanted))
    file = settings.output_file if settings.output_file is not None or published else STDOUT
    return None if file is None else open_file(file, lambda: outputs.get(module)(wanted), settings)


def check_results(settings: ScannerSettings) -> None:
    """Raise UsageError where -o, -O and --output-args do not go together. Opens nothing."""
    name = settings.output_module or "csv"
    try:
        outputs.get(name)
    except ValueError as error:
        raise UsageError("-O/--output-module", name, str(error)) from None
    if name == "redis":
        from stages.scanner.outputs.redis import parse_place

        try:
            parse_place(settings.output_args)
        except ValueError as error:
            raise UsageError("--output-args", masked(settings.output_args), str(error)) from None
        if settings.output_file is not None:
            raise UsageError("-o/--output-file", settings.output_file, "-O redis writes to no file: see --output-args")
    elif settings.output_args is not None and name in outputs.NAMES:
        raise UsageError("--output-args", masked(settings.output_args), f"the output module {name} takes none")


def to_stdout(settings: ScannerSettings) -> bool:
    """Whether there are data on standard output (of a scan without a bus)."""
    if settings.dryrun or settings.fast_dryrun:
        return True
    return settings.output_module not in ("redis", "null") and settings.output_file in (None, STDOUT)
