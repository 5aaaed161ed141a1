from __future__ import annotations

from stages.scanner.zmap_options import OPTIONS


def test_no_flag_stands_twice() -> None:
    """That each is understood: tests/docs/test_from_zmap.py."""
    flags = [flag for known in OPTIONS for flag in known.flags.split()]
    assert len(flags) == len(set(flags))
