"""Errors: exit code, whether to retry, and what stands in the message."""

from __future__ import annotations

import pytest

from stages.core import errors
from stages.core.errors import (
    Confined,
    Fused,
    HostError,
    Interrupted,
    ListError,
    LonglineError,
    MissingCapability,
    RecordError,
    SettingError,
    Unavailable,
    UsageError,
)
from stages.core.outcome import DeadReason


@pytest.mark.parametrize(
    ("error", "exit_code", "retry", "message"),
    [
        (UsageError("-p", "70000", "not a port"), 2, False, "-p: '70000': not a port"),
        (UsageError("longline.toml", None, "not TOML"), 2, False, "longline.toml: not TOML"),
        (ListError("block.txt", 3, "10/40", "bad"), 2, False, "block.txt:3: '10/40': bad"),
        (SettingError("LONGLINE_X", None, "unknown"), 2, False, "LONGLINE_X: unknown"),
        (HostError("disk full"), 1, False, "disk full"),
        (
            MissingCapability("CAP_NET_RAW", "--engine packet", "use --engine connect"),
            1,
            False,
            "--engine packet needs CAP_NET_RAW, which this process does not have; use --engine connect",
        ),
        (Confined("8.8.8.8"), 1, False, "8.8.8.8"),
        (Unavailable("broker"), 1, True, "broker"),
        (RecordError(DeadReason.SCHEMA, "kind is 5"), 1, False, "schema: kind is 5"),
        (Fused("600 of 1000"), 1, False, "600 of 1000"),
        (Interrupted(15), 1, False, "stopped by signal 15"),
    ],
)
def test_message_exit_code_and_retry(error, exit_code, retry, message):
    assert isinstance(error, LonglineError)
    assert (error.exit_code, error.retry, str(error)) == (exit_code, retry, message)


def test_families():
    assert issubclass(ListError, UsageError)
    assert issubclass(SettingError, UsageError)
    assert issubclass(MissingCapability, HostError)
    assert issubclass(Confined, HostError)


def test_details_are_kept():
    error = ListError("block.txt", 3, "10/40", "bad")
    assert (error.file, error.line, error.value, error.problem, error.place) == (
        "block.txt",
        3,
        "10/40",
        "bad",
        "block.txt:3",
    )
    assert RecordError(DeadReason.BUG, "x").reason is DeadReason.BUG
    assert Interrupted(2).signum == 2
    assert MissingCapability("CAP_NET_RAW", "a", "b").capability == "CAP_NET_RAW"


def test_every_error_stands_in_the_tree_of_the_docstring():
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, LonglineError):
            assert name in (errors.__doc__ or "")
