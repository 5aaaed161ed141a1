from __future__ import annotations

from pathlib import Path

import pytest

from stages.cli.submitting import submit, works
from stages.core.errors import LonglineError
from stages.fleet.state import State
from stages.fleet.work import BannerGrab, TlsGrab
from tests.cli.command import longline

SCAN = '[scanner]\ntargets = ["10.0.0.0/28"]\ntarget_ports = "80"\nscan = "town"\n'


def test_a_file_becomes_a_work_and_the_same_file_is_the_same_one(tmp_path: Path) -> None:
    file, state = tmp_path / "scan.toml", State(tmp_path / "fleet.db")
    file.write_text(SCAN)
    [work] = submit(state, str(file))
    assert submit(state, str(file)) == [work], "its seed was drawn once"
    assert works(state) == {"town": work}
    assert len(state.waiting()) == 1
    file.write_text(SCAN.replace("/28", "/27"))
    with pytest.raises(LonglineError, match="another one"):
        submit(state, str(file))
    state.close()


def test_sections_of_the_grab_stages_ask_for_grabs(tmp_path: Path) -> None:
    file, state = tmp_path / "scan.toml", State(tmp_path / "fleet.db")
    file.write_text(SCAN + '[bannergrab]\ntalk = "ssh"\n[tlsgrab]\n')
    [work] = submit(state, str(file))
    assert (work.banner, work.tls) == (BannerGrab(say="ssh", wait=0.0), TlsGrab())
    assert submit(state, str(file)) == [work]
    file.write_text(SCAN)
    with pytest.raises(LonglineError, match="another one"):
        submit(state, str(file))
    state.close()


def test_dnmaps_commands_are_scans_or_refused_by_their_lines(tmp_path: Path) -> None:
    commands = "# mine\nnmap -sS -p 80 10.0.0.0/28\nnmap -A 10.0.0.1\nnmap -p 443 10.0.0.0/29 -oA x --min-rate 5\n"
    (tmp_path / "commands.txt").write_text(commands)
    ran = longline("campaign", "submit", "commands.txt", cwd=tmp_path)
    assert ran.returncode == 2
    assert "commands.txt:3: '-A': services" in ran.stderr
    state = State(tmp_path / "fleet.db")
    assert {name: (work.ports, work.size) for name, work in works(state).items()} == {
        "commands-2": ("80", 16), "commands-4": ("443", 8)
    }  # fmt: skip
    (tmp_path / "commands.txt").write_text(commands.replace("nmap -A 10.0.0.1\n", "nmap -p 22 10.0.0.1\n"))
    ran = longline("campaign", "submit", "commands.txt", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert set(works(state)) == {"commands-2", "commands-3", "commands-4"}
    state.close()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("target_ports", "target_portz", "scan.toml:3: 'scanner.target_portz': no such setting; did you mean"),
        ('"80"', '"80000"', "scan.toml:3: [scanner] target_ports: '80000'"),
        ("[scanner]", "[scanner", "line 1"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    file, state = tmp_path / "scan.toml", State(tmp_path / "fleet.db")
    file.write_text(SCAN.replace(old, new))
    with pytest.raises(LonglineError) as caught:
        submit(state, str(file))
    assert said in str(caught.value)
    assert state.waiting() == []
    state.close()
