"""`longline certs` and the questions over it, as a user types them, over SQLite; and everything that is refused."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from pathlib import Path

import pytest

from stages.proto.x509.pem import certificates, encode
from stages.sink.sqlite import SqliteStore
from tests.certificates.zoo import intermediate, leaf, root, zoo
from tests.cli.command import longline
from tests.sink.material import T0, tls, write

GOOD = leaf("www.zoo.example").der
DAY = 86_400_000_000

#: Certificates of the zoo, without the one that is no byte.
ZOO = len(zoo()) - 1


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files, and a store that was imported into, scanned into and reprocessed."""
    folder = tmp_path_factory.mktemp("certs")
    (folder / "roots.pem").write_text(encode(root().der))
    (folder / "one.pem").write_text(encode(GOOD) + encode(intermediate().der))
    (folder / "one.der").write_bytes(GOOD)
    (folder / "zoo.pem").write_text("".join(encode(der) for der in zoo().values() if der))
    (folder / "many.jsonl").write_text(
        "".join(json.dumps({"raw": encode(zoo()[n]).replace("\n", "")[27:-25]}) + "\n" for n in ("expired", "wildcard"))
    )
    url = f"sqlite:{folder}/store.db"
    ran = longline("certs", "import", folder / "zoo.pem", folder / "many.jsonl", folder / "one.pem", "--store", url)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{ZOO + 4} read, {ZOO + 1} stored, 9 of them cannot be read in part or whole\n"

    async def scanned() -> None:
        store = SqliteStore(folder / "store.db")
        await store.open()
        await write(
            store, tls("10.0.0.1", T0, [GOOD, intermediate().der]), tls("10.0.0.2", T0 + DAY, [GOOD], scan="s2")
        )
        await store.close()

    asyncio.run(scanned())
    ran = longline(
        "certs", "reprocess", "--roots", folder / "roots.pem", "--at", "2026-11-21T07:00:00Z", "--store", url
    )
    assert ran.returncode == 0, ran.stderr
    judged = f"{ZOO + 1} of {ZOO + 1} certificates judged for 2026-11-21T07:00:00.000000Z"
    assert f"2 observations sighted, {judged}" in ran.stdout
    return folder


def query(place: Path, *words: str) -> list[dict[str, object]]:
    ran = longline("query", "certificates", "--json", "--limit", "0", "--store", f"sqlite:{place}/store.db", *words)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_questions(place: Path) -> None:
    digest = sha256(GOOD).hexdigest()
    assert {d["_id"] for d in query(place, "--name", "*.wild.zoo.example")} == {sha256(zoo()["wildcard"]).hexdigest()}
    assert len(query(place, "--name", "*.zoo.example")) > 30
    [good] = [d for d in query(place, "--name", "www.zoo.example") if d["_id"] == digest]
    assert good["services"] == 2
    assert good["verdicts"]["untrusted"]["roots"]["is"] == "no"  # type: ignore[index]
    assert len(query(place, "--issuer", "zoo intermediate 10", "--name", "www.zoo.example")) == 1
    assert query(place, "--expiring", "1s") == []
    assert query(place, "--new-since", "2000-01-01T00:00:00Z")
    [shared] = query(place, "--key-shared")
    assert (shared["addresses"], shared["ips"]) == (2, ["10.0.0.1", "10.0.0.2"])
    moves = query(place, "--moved")
    assert {(m["thing"], m["from_ip"], m["to_ip"]) for m in moves} == {
        ("certificate", "10.0.0.1", "10.0.0.2"),
        ("key", "10.0.0.1", "10.0.0.2"),
    }
    assert moves[0]["from_seen"] == "2026-11-21T07:00:00.000000Z"


def test_tables(place: Path) -> None:
    for words, title in (((), "verdicts"), (("--moved",), "last seen there"), (("--key-shared",), "addresses")):
        ran = longline("query", "certificates", "--store", f"sqlite:{place}/store.db", *words)
        assert ran.returncode == 0, ran.stderr
        assert title in ran.stdout.splitlines()[0]


def test_show(place: Path) -> None:
    store = ("--store", f"sqlite:{place}/store.db")
    digest = sha256(GOOD).hexdigest()
    ran = longline("certs", "show", digest[:12], *store)
    assert ran.returncode == 0, ran.stderr
    assert f"sha256:             {digest}" in ran.stdout
    assert "untrusted (roots):  no, a path of 3" in ran.stdout
    assert f"sha256:             {digest}" in longline("certs", "show", place / "one.der").stdout
    shown = json.loads(longline("certs", "show", digest, "-f", "json", *store).stdout)
    assert shown["subject"] == "CN=www.zoo.example"
    ran = longline("certs", "show", "0123456789", *store)
    assert (ran.returncode, "no such certificate" in ran.stderr) == (2, True)


def test_parse_needs_no_store(place: Path, tmp_path: Path) -> None:
    ran = longline("certs", "parse", place / "zoo.pem", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == ZOO
    assert list(tmp_path.iterdir()) == []
    [line] = longline("certs", "parse", place / "one.der", "-f", "zgrab2").stdout.splitlines()
    assert json.loads(line)["parsed"]["subject_dn"] == "CN=www.zoo.example"


def test_export_and_back(place: Path, tmp_path: Path) -> None:
    store = f"sqlite:{place}/store.db"
    out = tmp_path / "out.pem"
    assert longline("certs", "export", "-o", out, "--store", store).returncode == 0
    ders = [der for _, der in certificates(out.read_text())]
    assert len(ders) == len(set(ders)) == ZOO + 1
    der = longline(
        "certs", "export", "-f", "der", "-o", tmp_path / "one", "--name", "*.wild.zoo.example", "--store", store
    )
    assert der.returncode == 0, der.stderr
    assert (tmp_path / "one").read_bytes() == zoo()["wildcard"]
    more = longline("certs", "export", "-f", "der", "-o", tmp_path / "two", "--store", store)
    assert (more.returncode, "there are more" in more.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("import",), "needs files"),
        (("show",), "needs files or SHA-256s"),
        (("reprocess", "x"), "takes no files"),
        (("reprocess", "--roots", "none.pem"), "none.pem': no such file"),
        (("reprocess", "--roots", "bad.pem"), "bad.pem:1: block 1: not base64"),
        (("reprocess", "--at", "soon"), "--at"),
        (("import", "bad.pem"), "bad.pem:1: block 1: not base64"),
        (("import", "none.pem"), "none.pem: No such file"),
        (("import", "bad.pem", "--seen", "soon"), "--seen"),
        (("export", "--name", "www.*.org"), "--name"),
        (("export", "-o", "/nonexistent/x"), "/nonexistent/x"),
        (("export", "--port", "3"), "unknown option"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_bad_input(tmp_path: Path, words: tuple[str, ...], problem: str) -> None:
    (tmp_path / "bad.pem").write_text("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n")
    store = () if words[0] == "frobnicate" else ("--store", f"sqlite:{tmp_path}/s.db")
    if words[0] == "export":
        longline("sink", "--init", *store)
    ran = longline("certs", *words, *store, cwd=tmp_path)
    assert ran.returncode == 2, ran.stderr
    assert problem in ran.stderr


def test_questions_before_anything_was_sighted(tmp_path: Path) -> None:
    store = ("--store", f"sqlite:{tmp_path}/s.db")
    longline("sink", "--init", *store)
    ran = longline("query", "certificates", "--moved", *store)
    assert (ran.returncode, "longline certs reprocess" in ran.stderr) == (2, True)
