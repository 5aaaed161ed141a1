"""The names of what the kernel said: never guessed."""

from __future__ import annotations

import errno

import pytest

from stages.core.outcome import LOCAL_ERRNOS, Outcome, Phase, of_error


@pytest.mark.parametrize(
    ("number", "phase", "outcome"),
    [
        (errno.ECONNREFUSED, Phase.CONNECT, Outcome.REFUSED),
        (errno.ECONNREFUSED, Phase.READ, Outcome.REFUSED),
        (errno.ECONNRESET, Phase.CONNECT, Outcome.RESET),
        (errno.ECONNRESET, Phase.READ, Outcome.RESET),
        (errno.EPIPE, Phase.WRITE, Outcome.RESET),
        (errno.ECONNABORTED, Phase.READ, Outcome.RESET),
        (errno.ETIMEDOUT, Phase.CONNECT, Outcome.TIMEOUT),
        (errno.ETIMEDOUT, Phase.READ, Outcome.TIMEOUT),
        (errno.EHOSTUNREACH, Phase.CONNECT, Outcome.UNREACHABLE),
        (errno.ENETUNREACH, Phase.CONNECT, Outcome.UNREACHABLE),
        (errno.EHOSTDOWN, Phase.CONNECT, Outcome.UNREACHABLE),
        (errno.ENOPROTOOPT, Phase.CONNECT, Outcome.UNREACHABLE),
        (errno.EPROTO, Phase.CONNECT, Outcome.UNREACHABLE),
        (errno.EMFILE, Phase.CONNECT, Outcome.LOCAL),
        (errno.EADDRNOTAVAIL, Phase.CONNECT, Outcome.LOCAL),
        (errno.EPERM, Phase.CONNECT, Outcome.LOCAL),
        (errno.ENOTTY, Phase.CONNECT, Outcome.LOCAL),
    ],
)
def test_of_error(number, phase, outcome):
    assert of_error(number, phase) is outcome


def test_icmp_is_unreachable_whatever_errno_says():
    assert of_error(errno.ECONNREFUSED, Phase.CONNECT, icmp=(3, 3)) is Outcome.UNREACHABLE
    assert of_error(errno.EACCES, Phase.CONNECT, icmp=(3, 13)) is Outcome.UNREACHABLE


def test_what_never_left_says_nothing_about_the_target():
    assert of_error(errno.ENETUNREACH, Phase.CONNECT, left_host=False) is Outcome.LOCAL
    assert of_error(errno.ECONNREFUSED, Phase.CONNECT, left_host=False) is Outcome.LOCAL


def test_every_local_errno_is_local():
    for number in LOCAL_ERRNOS:
        assert of_error(number, Phase.CONNECT) is Outcome.LOCAL, errno.errorcode[number]


def test_every_errno_has_a_name():
    for number in errno.errorcode:
        for phase in Phase:
            assert of_error(number, phase) in Outcome
