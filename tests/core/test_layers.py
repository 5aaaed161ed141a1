"""Defaults < file < environment < command line; each value knows its origin; bad ones are named with their place."""

from __future__ import annotations

from typing import ClassVar

import pydantic
import pytest

from stages.core.errors import SettingError
from stages.core.layers import RESERVED, Given, dump_effective, find_file, load
from stages.core.section import Section, opt


class Grab(Section):
    """Grab: one stage"""

    renamed: ClassVar[dict[str, str]] = {"connections": "concurrent"}
    concurrent: int = opt(500, "-c", "--concurrent", help="at once", ge=1)
    timeout: float = opt(5.0, "-t", help="seconds")
    until: str | None = opt(None, help="regular expression")
    block: tuple[str, ...] = opt((), "-b", help="files", repeat=True, adds_up=True)
    allow: tuple[str, ...] = opt((), "-w", help="files", repeat=True)
    ports: tuple[int, ...] = opt((), "-p", help="ports")
    wait: bool = opt(False, "--wait", help="wait")
    password: str | None = opt(None, help="secret", secret=True)
    targets: tuple[str, ...] = opt((), help="targets", metavar="TARGET", positional=True)

    @pydantic.model_validator(mode="after")
    def _together(self) -> Grab:
        if self.wait and self.until is not None:
            raise ValueError("--wait and until exclude each other")
        return self


class GrabMore(Section):
    """Grab more: the name of a section may begin with the name of another"""

    depth: int = opt(1, help="depth")


SECTIONS = {"grab": Grab, "grab_more": GrabMore}


def layered(argv=None, environ=None, file=None):
    return load(SECTIONS, argv=argv or {}, environ=environ or {}, file=file)


@pytest.fixture
def toml(tmp_path):
    def write(text, name="longline.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_each_layer_wins_over_the_one_before(toml):
    file = toml("[grab]\nconcurrent = 1\ntimeout = 1\nuntil = 'x'\n")
    loaded = layered(
        {"grab": {"concurrent": "3"}}, {"LONGLINE_GRAB_CONCURRENT": "2", "LONGLINE_GRAB_TIMEOUT": "2"}, file
    )
    grab = loaded.get("grab", Grab)
    assert (grab.concurrent, grab.timeout, grab.until, grab.wait) == (3, 2.0, "x", False)
    assert loaded.origin("grab", "concurrent") == "command line: -c/--concurrent"
    assert loaded.origin("grab", "timeout") == "LONGLINE_GRAB_TIMEOUT"
    assert loaded.origin("grab", "until") == f"{file}: [grab] until"
    assert loaded.origin("grab", "wait") == "default"
    assert loaded.section("grab") is grab
    with pytest.raises(TypeError):
        loaded.get("grab", GrabMore)


def test_lists_add_up_or_replace(toml):
    file = toml("[grab]\nblock = ['a', 'b']\nallow = ['a']\nports = [1, 2]\n")
    loaded = layered(
        {"grab": {"block": ("d,e",), "allow": ("d",), "ports": "8, 9", "targets": ("x", "y")}},
        {"LONGLINE_GRAB_BLOCK": "c", "LONGLINE_GRAB_ALLOW": "b,c"},
        file,
    )
    grab = loaded.get("grab", Grab)
    assert grab.block == ("a", "b", "c", "d,e")
    assert grab.allow == ("d",)
    assert grab.ports == (8, 9)
    assert grab.targets == ("x", "y")
    assert loaded.origin("grab", "block") == f"{file}: [grab] block + LONGLINE_GRAB_BLOCK + command line: -b"
    assert loaded.origin("grab", "targets") == "command line: TARGET"


def test_dashes_in_keys_and_longest_section_name(toml):
    file = toml("[grab_more]\ndepth = 4\n[grab]\nuntil = 'y'\n")
    assert layered(None, {"LONGLINE_GRAB_MORE_DEPTH": "5"}, file).section("grab_more").depth == 5
    assert layered(None, None, file).section("grab_more").depth == 4


def test_reserved_and_foreign_variables_are_left_alone():
    environ = dict.fromkeys(RESERVED, "1") | {"PATH": "/bin", "LONGLINES_X": "1", "longline_grab_wait": "1"}
    assert layered(None, environ).get("grab", Grab) == Grab()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[grab]\nconcurent = 1", r"longline.toml: \[grab\]: unknown key 'concurent'; did you mean 'concurrent'\?"),
        ("[grab]\nconnections = 1", r"\[grab\]: unknown key 'connections'; it is called 'concurrent' now"),
        ("[grap]\nconcurrent = 1", r"unknown section 'grap'; did you mean 'grab'\?"),
        ("grab = 5", r"grab: 5: a section is a table: \[grab\]"),
        ("[grab]\nconcurrent = 'x'", r"longline.toml: \[grab\] concurrent: 'x': .*integer"),
        ("[grab]\nconcurrent = 0", r"\[grab\] concurrent: 0: .*greater than or equal to 1"),
        ("[grab]\nports = [1, 'q']", r"\[grab\] ports: 'q': .*integer"),
        ("[grab]\nwait = true\nuntil = 'x'", r"\[grab\]: --wait and until exclude each other"),
        ("[grab\n", "longline.toml: not TOML"),
    ],
)
def test_bad_files(toml, text, message):
    with pytest.raises(SettingError, match=message) as caught:
        layered(None, None, toml(text))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"LONGLINE_GRAB_TIMEOUTS": "1"}, "LONGLINE_GRAB_TIMEOUTS: unknown key 'timeouts'; did you mean 'timeout'"),
        (
            {"LONGLINE_GRIB_TIMEOUT": "1"},
            "LONGLINE_GRIB_TIMEOUT: unknown setting; did you mean 'LONGLINE_GRAB_TIMEOUT'",
        ),
        ({"LONGLINE_CONFIN": "1"}, "did you mean 'LONGLINE_CONFINE'"),
        ({"LONGLINE_GRAB_TIMEOUT": "soon"}, "LONGLINE_GRAB_TIMEOUT: 'soon': .*number"),
        ({"LONGLINE_GRAB_WAIT": "perhaps"}, "LONGLINE_GRAB_WAIT: 'perhaps': .*boolean"),
    ],
)
def test_bad_variables(environ, message):
    with pytest.raises(SettingError, match=message):
        layered(None, environ)


def test_bad_argument_is_named_by_its_option():
    with pytest.raises(SettingError, match=r"^-c/--concurrent: 'many': .*integer"):
        layered({"grab": {"concurrent": "many"}})


def test_a_refused_secret_is_not_shown():
    class Vault(Section):
        """Vault: a section with a secret that may be refused"""

        token: int = opt(0, help="secret", secret=True)
        url: str = opt("-", help="where", choices=("-",))

    with pytest.raises(SettingError) as caught:
        load({"vault": Vault}, argv={}, environ={"LONGLINE_VAULT_TOKEN": "hunter2"}, file=None)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingError) as caught:
        load({"vault": Vault}, argv={}, environ={"LONGLINE_VAULT_URL": "a://u:hunter2@h"}, file=None)
    assert "hunter2" not in str(caught.value)


def test_unreadable_file(tmp_path):
    with pytest.raises(SettingError, match="cannot be read"):
        layered(None, None, tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match="not TOML"):
        layered(None, None, binary)


def test_find_file(tmp_path):
    here, system = tmp_path / "here", tmp_path / "etc"
    here.mkdir()
    system.mkdir()
    assert find_file(None, here, system) is None
    (system / "longline.toml").touch()
    assert find_file(None, here, system) == system / "longline.toml"
    (here / "longline.toml").touch()
    assert find_file(None, here, system) == here / "longline.toml"
    other = tmp_path / "other.toml"
    with pytest.raises(SettingError, match=r"--settings: .*other.toml.*no such file"):
        find_file(other, here, system)
    other.touch()
    assert find_file(other, here, system) == other


def test_dump_effective_masks(toml):
    loaded = layered(None, {"LONGLINE_GRAB_PASSWORD": "hunter2"})
    rows = {(row.section, row.key): row for row in dump_effective(loaded)}
    assert rows["grab", "password"].value == "***"
    assert rows["grab", "password"].origin == "LONGLINE_GRAB_PASSWORD"
    assert rows["grab", "concurrent"].value == 500
    assert "hunter2" not in repr(list(rows.values()))
    assert len(rows) == len(Grab.model_fields) + len(GrabMore.model_fields)


def test_other_values_in_one_section_leave_the_rest_and_the_original_alone():
    before = layered(argv={"grab": {"until": "a"}})
    after = before.changed("grab", until="b")
    assert (before.section("grab").until, after.section("grab").until) == ("a", "b")
    assert after.section("grab_more") is before.section("grab_more")
    assert after.origin("grab", "until") == before.origin("grab", "until")


def test_other_files_lie_below_ours_and_above_the_environment(toml):
    file = toml("[grab]\ntimeout = 2\nblock = ['own']\n")
    loaded = load(
        SECTIONS,
        argv={"grab": {"until": "typed"}},
        environ={"LONGLINE_GRAB_CONCURRENT": "3"},
        file=file,
        below=[
            Given("grab", "timeout", "1", "sys:1"),
            Given("grab", "concurrent", "1", "sys:2"),
            Given("grab", "block", ("sys",), "sys:3"),
            Given("grab", "wait", True, "sys:4"),
        ],
        above=[Given("grab", "concurrent", "4", "mine:1"), Given("grab", "until", "mine", "mine:2"),
               Given("grab", "block", ("own", "mine"), "mine:3"), Given("grab", "wait", False, "mine:4")],
    )  # fmt: skip
    grab = loaded.get("grab", Grab)
    assert (grab.timeout, grab.concurrent, grab.until, grab.wait) == (2, 4, "typed", False)
    assert grab.block == ("sys", "own", "mine")
    assert loaded.origin("grab", "concurrent") == "mine:1"
    assert loaded.origin("grab", "block") == f"sys:3 + {file}: [grab] block + mine:3"
    with pytest.raises(SettingError, match="mine:9: 'x'"):
        load(SECTIONS, argv={}, environ={}, file=None, above=[Given("grab", "timeout", "x", "mine:9")])


def test_a_system_that_has_no_say(tmp_path):
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "longline.toml").touch()
    assert find_file(None, tmp_path, tmp_path / "system") == tmp_path / "system" / "longline.toml"
    assert find_file(None, tmp_path, None) is None


def test_a_value_may_stand_in_a_file_that_the_environment_names(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("s3cret, with a comma\n")
    loaded = layered(environ={"LONGLINE_GRAB_PASSWORD_FILE": str(secret)})
    assert loaded.section("grab").password == "s3cret, with a comma"
    rows = {row.key: row for row in dump_effective(loaded)}
    assert rows["password"].value == "***"
    assert rows["password"].origin == "LONGLINE_GRAB_PASSWORD_FILE"


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"LONGLINE_GRAB_PASSWORD_FILE": "/nowhere/password"}, "LONGLINE_GRAB_PASSWORD_FILE: .*nowhere.*No such file"),
        ({"LONGLINE_GRAB_PASWORD_FILE": "/dev/null"}, "LONGLINE_GRAB_PASWORD_FILE: unknown key"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(environ, problem):
    with pytest.raises(SettingError, match=problem):
        layered(environ=environ)
