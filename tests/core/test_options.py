"""argparse from sections: only what was typed comes back, as text, and goes through the same layers."""

from __future__ import annotations

import argparse
from typing import Literal

import pytest

from stages.core.layers import load
from stages.core.options import add_section, given
from stages.core.section import Section, opt


class Grab(Section):
    """Grab: one stage"""

    port: int | None = opt(None, "-p", "--port", metavar="PORT", help="port")
    rate: float = opt(0.5, "-r", "--rate", help="share of 100%")
    wait: bool = opt(False, "-W", "--wait", help="wait")
    default: bool = opt(True, "--default-blocklist", help="block")
    files: tuple[str, ...] = opt((), "-b", "--file", repeat=True, help="files")
    style: Literal["hex", "ascii"] = opt("hex", "-f", help="style")
    kind: str | None = opt(None, "--kind", help="kind", choices=("a", "b"))
    hidden: int = opt(1, help="from the file only")
    targets: tuple[str, ...] = opt((), help="targets", metavar="TARGET", positional=True)


class Other(Section):
    """Other: another stage"""

    port: int = opt(443, "-P", "--port", help="port")


def parser(**keywords):
    made = argparse.ArgumentParser(prog="grab", allow_abbrev=False)
    add_section(made, Grab, **keywords)
    return made


@pytest.mark.parametrize(
    ("argv", "typed"),
    [
        ([], {}),
        (["-p", "80"], {"port": "80"}),
        (["--port=80", "-W"], {"port": "80", "wait": True}),
        (["--no-wait", "--no-default-blocklist"], {"wait": False, "default": False}),
        (["-b", "x", "--file", "y,z"], {"files": ("x", "y,z")}),
        (["10.0.0.0/8", "-r", "1", "10.1.2.3"], {"targets": ("10.0.0.0/8",), "rate": "1"}),
        (["-f", "ascii", "--kind", "c"], {"style": "ascii", "kind": "c"}),
    ],
)
def test_given(argv, typed):
    namespace, _ = parser().parse_known_args(argv)
    assert given(namespace, Grab) == typed


def test_targets_between_options():
    namespace = parser().parse_intermixed_args(["10.0.0.0/8", "-r", "1", "10.1.2.3"])
    assert given(namespace, Grab) == {"targets": ("10.0.0.0/8", "10.1.2.3"), "rate": "1"}


def test_what_was_typed_goes_through_the_layers():
    namespace = parser().parse_args(["-p", "80", "-r", "2", "-W", "-b", "x,y", "1.2.3.4"])
    grab = load({"grab": Grab}, argv={"grab": given(namespace, Grab)}, environ={}, file=None).get("grab", Grab)
    assert (grab.port, grab.rate, grab.wait, grab.files, grab.targets) == (80, 2.0, True, ("x,y",), ("1.2.3.4",))


def test_help_shows_defaults_choices_and_percent():
    text = " ".join(parser().format_help().split())
    assert "share of 100% (default: 0.5)" in text
    assert "{hex,ascii}" in text
    assert "{a,b}" in text
    assert "--wait, --no-wait wait" in text
    assert "block (default: yes)" in text
    assert "Grab: one stage" in text
    assert "hidden" not in text
    assert "TARGET" in text


def test_prefix_keeps_stages_apart():
    made = argparse.ArgumentParser(allow_abbrev=False)
    add_section(made, Grab, prefix="banner", omit=("rate",))
    add_section(made, Other, prefix="tls")
    namespace = made.parse_args(["--banner-port", "80", "--tls-port", "8443", "--no-banner-default-blocklist"])
    assert given(namespace, Grab, prefix="banner") == {"port": "80", "default": False}
    assert given(namespace, Other, prefix="tls") == {"port": "8443"}
    assert given(namespace, Other) == {}
    text = made.format_help()
    assert "--banner-rate" not in text
    assert "TARGET" not in text
    assert " -p" not in text


def test_unknown_option_exits_2(capsys):
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["--ports", "80"])
    assert caught.value.code == 2
    assert "--ports" in capsys.readouterr().err
