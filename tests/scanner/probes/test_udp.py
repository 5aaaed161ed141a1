from __future__ import annotations

from pathlib import Path

import pytest

from stages.proto import payloads
from stages.scanner import probes
from stages.scanner.probes import udp


def test_the_forms_of_the_manual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert udp.payloads_of("text:ST").constant == b"ST"
    assert udp.payloads_of("hex:02").constant == b"\x02"
    assert udp.payloads_of("text:${SADDR}").constant == b"${SADDR}"  # only a template is one
    assert len(udp.payloads_of("file:netbios_137.pkt").constant or b"") == 50
    assert udp.payloads_of("file:sip_options.tpl").constant is not None
    sip = udp.payloads_of("template:sip_options.tpl")
    assert sip.constant is None
    assert not sip.one_length
    Path("mine").write_bytes(b"${DADDR_N}")
    assert udp.payloads_of("template:mine").one_length


def test_by_default_each_port_gets_what_its_service_answers() -> None:
    for args in ("", "payloads"):
        by_port = udp.payloads_of(args)
        assert by_port.first(53) is payloads.BY_PORT[53]
        assert by_port.first(54) is payloads.OTHER


@pytest.mark.parametrize(("args", "problem"), [
    ("text", "udp takes text:..., hex:..., file:..., template:..., payloads or payloads:FILE, not 'text'"),
    ("base64:aa", "not 'base64:aa'"),
    ("hex:0g", "hexadecimal digits, not '0g'"),
    ("text:" + "x" * 1473, "a payload of up to 1473 bytes; 1472 fit"),
])  # fmt: skip
def test_bad_arguments(args: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        probes.get("udp", args)
    assert problem in str(caught.value)


def test_a_field_that_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("${SADR}")
    with pytest.raises(ValueError, match="no template field 'SADR'; there are SADDR"):
        probes.get("udp", f"template:{tmp_path}/t")
    with pytest.raises(FileNotFoundError):
        probes.get("udp", f"template:{tmp_path}/none")
