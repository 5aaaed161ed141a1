"""masscan's binary files: byte by byte, against masscan itself, and against damage."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from stages.scanner.masscan.binary import BadRecord, BinaryWriter, read_binary
from stages.scanner.masscan.items import Banner, Item, Status
from stages.scanner.masscan.services import SERVICES
from stages.scanner.masscan.writing import About, writer
from tests.fuzzing import fuzz, inputs
from tests.require import require

#: Inputs of the fuzz, read before the tests take LONGLINE_... out of the environment.
COUNT = inputs()

ABOUT = About(1_390_380_000)
ITEMS: list[Item] = [
    Status(1_390_380_064, "1.2.3.4", "tcp", 80, "open", 0x12, 48),
    Status(1_390_380_065, "1.2.3.4", "tcp", 81, "closed", 0x14, 49),
    Status(1_390_380_066, "1.2.3.5", "udp", 53, "open", 0, 50),
    Status(1_390_380_066, "1.2.3.5", "icmp", 0, "open", 0, 51),
    Status(1_390_380_067, "1:203:405:607:809:a0b:c0d:e0f", "tcp", 80, "open", 0x12, 52),
    Status(1_390_380_068, "1:203:405:607:809:a0b:c0d:e0f", "tcp", 81, "closed", 0x14, 53),
    *(Banner(1_390_380_069, "1.2.3.4", "tcp", 443, name, b"a <&>\\\"' \r\n\x80\xff~ %d" % n, 48)
      for n, name in SERVICES.items() if n != 1),
    Banner(1_390_380_070, "1.2.3.4", "tcp", 443, "http", b"x" * 300, 48),
    Banner(1_390_380_071, "1:203:405:607:809:a0b:c0d:e0f", "tcp", 80, "http", b"hello", 48),
]  # fmt: skip


def file_of(items: list[Item]) -> bytes:
    made = BinaryWriter(ABOUT)
    return made.begin() + made.items(items) + made.end(0)


def test_a_status_byte_by_byte() -> None:
    data = file_of(ITEMS[:1])
    assert data[:25] == b"masscan/1.1\ns:1390380000\n"
    assert data[25:99] == bytes(74)
    assert data[99:-99].hex(" ") == "06 0d 52 df 84 20 01 02 03 04 06 00 50 12 30"
    assert data[-99:] == b"masscan/1.1".ljust(99, b"\0")


def test_a_long_banner_has_a_long_length() -> None:
    data = file_of([Banner(1, "1.2.3.4", "tcp", 80, "http", b"x" * 300)])
    assert data[99:102].hex() == "09823a"  # 314 = 2 * 128 + 58


@pytest.mark.parametrize(
    ("body", "item"),
    [
        ("010c 52df8420 01020304 0050 12 30", Status(1_390_380_064, "1.2.3.4", "tcp", 80, "open", 0x12, 0x30)),
        ("020c 52df8420 01020304 0051 14 30", Status(1_390_380_064, "1.2.3.4", "tcp", 81, "closed", 0x14, 0x30)),
        ("030e 52df8420 01020304 0050 0004 6869", Banner(1_390_380_064, "1.2.3.4", "tcp", 80, "http", b"hi")),
        ("050f 52df8420 01020304 11 0035 0006 6869", Banner(1_390_380_064, "1.2.3.4", "udp", 53, "dns-ver", b"hi")),
        ("0813 52df8420 01020304 00 0000 00 00 010203040506", Status(1_390_380_064, "1.2.3.4", "arp", 0, "arp")),
    ],
)
def test_records_of_old_versions(body: str, item: Item) -> None:
    assert list(read_binary(b"masscan/1.1\n".ljust(99, b"\0") + bytes.fromhex(body))) == [item]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"nmap", "does not begin with its name"),
        (file_of([]) + b"\x40\x01a", "byte 198: a record of type 64"),
        (file_of([]) + b"\x06\x03abc", "byte 198: a record of type 6 with 3 bytes"),
        (file_of([]) + b"\x06\xff\xff\xff\x7f", "byte 198: a record of "),
        (file_of([]) + b"\x0a\x1a" + bytes(26), "byte 198: an address of version 0"),
    ],
)
def test_what_is_no_file_of_masscans(data: bytes, named: str) -> None:
    with pytest.raises(BadRecord, match=named):
        list(read_binary(data))


def masscan(*argv: str) -> None:
    require(shutil.which("masscan"), "needs masscan")
    subprocess.run(["masscan", *argv], check=True, capture_output=True, timeout=60)


def test_masscan_reads_what_we_write(tmp_path: Path) -> None:
    """Its list of our binary file is our list; of IPv6 its own reader says the same."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.write_bytes(file_of(ITEMS))
    masscan("--readscan", str(ours), "--banners", "--show", "closed", "-oL", str(theirs))
    made = writer("list", ABOUT)
    assert theirs.read_bytes() == made.begin() + made.items(ITEMS) + made.end(0)


def test_we_read_what_masscan_writes(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    v4 = [item for item in ITEMS if ":" not in item.ip]  # of IPv6 it writes a longer record than it reads
    ours.write_bytes(file_of(v4))
    masscan("--readscan", str(ours), "--banners", "--show", "closed", "-oB", str(theirs))
    assert list(read_binary(theirs.read_bytes())) == v4


@fuzz
def test_damage_is_told_and_nothing_else() -> None:
    draw = random.Random(7)
    whole = file_of(ITEMS)
    for _ in range(COUNT):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.3:
            del data[draw.randrange(len(data)) :]
        try:
            items = list(read_binary(bytes(data)))
        except BadRecord:
            continue
        assert len(items) <= len(data)
