"""A campaign as tests need one."""

from __future__ import annotations

import json

from stages.campaign.plan import Campaign, read

T0 = 1_764_288_000.0  #: 2025-11-28T00:00:00Z


def campaign(name: str = "a", **more: object) -> Campaign:
    values = {"name": name, "full_every": 1_000, "zone": "UTC", **more}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    scanner = '[scanner]\ntargets = ["10.0.0.0/24"]\ntarget_ports = "80"'
    return read(f"{name}.toml", "\n".join(["[campaign]", *lines, scanner, ""]).encode())
