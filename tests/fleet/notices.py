"""Notices for the tests."""

from __future__ import annotations

from typing import Final

from stages.fleet.notice import Notice, read

TEXT: Final = """\
organisation = "Example <b>University</b> & Sons"
purpose = '''
First "paragraph".

Second.'''
contact = "scan@measurement.example"
url = "https://scan.measurement.example/"
since = 2026-01-01
schedule = "Once a week."
retention = "Two years."
sent = ["One SYN."]

[[sources]]
addresses = ["192.0.2.10", "192.0.2.128/25"]
name = "Scan1.measurement.example"

[[sources]]
addresses = ["2001:db8::1"]
"""

#: Everything that may be said besides.
MORE: Final = """\
phone = "+1 (555) 0100"
languages = ["en", "pt-BR"]
answer_days = 1
approval = "Board, case 1"
until = 2027-01-01
not_sent = ["Passwords."]
marks = ["IP id 54321"]
links = [{ title = "Papers", url = "https://measurement.example/papers?a=1&b=2" }]
"""


def notice(*, more: bool = False) -> Notice:
    return read(MORE + TEXT if more else TEXT, "notice.toml")
