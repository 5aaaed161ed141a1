"""What `longline scan` prints instead of scanning: its probe modules, output modules and fields. Pure.

--list-probe-modules     one name a line
--list-output-modules    one name a line; of another package's module its help, too
--list-output-fields     name, type and meaning of the fields of the probe module (-M), as ZMap prints them
--probe-args template-fields (of the module udp)    fields of a template
"""

from __future__ import annotations

from typing import Final

from stages.core.errors import UsageError
from stages.proto.template import fields_text
from stages.scanner import outputs, probes
from stages.scanner.settings import ScannerSettings

#: As ZMap has it.
TEMPLATE_FIELDS: Final = "template-fields"
_UDP: Final = "udp"


def text(settings: ScannerSettings) -> str | None:
    """What is to be printed; None: nothing, scan. Raises UsageError for a probe module that cannot be loaded."""
    if settings.list_probe_modules:
        return "".join(f"{name}\n" for name in probes.names())
    if settings.list_output_modules:
        return "".join(f"{name}: {told}\n" if (told := _told(name)) else f"{name}\n" for name in outputs.names())
    if settings.list_output_fields:
        return _fields(settings.probe_module)
    if settings.probe_module == _UDP and settings.probe_args == TEMPLATE_FIELDS:
        return fields_text()
    return None


def _told(name: str) -> str:
    try:
        return outputs.help_of(name)
    except ValueError as error:
        return str(error)


def _fields(probe: str) -> str:
    from stages.scanner.fields import fields_of  # with numpy, whose threads a scan may not have yet

    try:
        fields = fields_of(probe)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError("-M/--probe-module", probe, str(error)) from None
    names = max(len(field.name) for field in fields)
    types = max(len(field.type) for field in fields)
    return "".join(f"{field.name:{names}} {field.type:>{types}}: {field.help}\n" for field in fields)
