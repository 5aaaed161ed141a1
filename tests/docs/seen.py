"""What must be seen after a block was played. Each looks at one `Stage` and fails the test otherwise."""

from __future__ import annotations

import csv
import importlib
import json
import shlex
import subprocess
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from stages.cli.main import parser_of
from stages.simnet.responder_spec import Reaction, Responder, Says
from stages.simnet.responder_truth import ResponderTruth
from stages.simnet.spec import Spec
from stages.simnet.truth import Kind
from tests.docs.blocks import ROOT
from tests.docs.stage import Stage


def nothing_more(stage: Stage) -> None:
    """Every command ended well."""
    assert stage.said


# --- README


def _open(stage: Stage, network: str, *ports: int) -> set[tuple[str, int]]:
    """(address, port) of every service of the stage's truth in a network `a.b.`."""
    assert stage.net is not None
    services = {(ip, port) for ip, port, _ in stage.net.truth.services() if ip.startswith(network)}
    return {(ip, port) for ip, port in services if port in ports}


def a_whole_measurement(stage: Stage) -> None:
    """`longline run` stored every open service, grabbed each, and the table and the file show what is stored."""
    services = stage.documents("services", "sqlite:scan.db")
    assert {(s["ip"], s["port"]) for s in services} == _open(stage, "10.0.", 22, 80, 443)
    assert all("banner" in s or "tls" in s for s in services)
    table = stage.said[1]
    shown = [line for line in table.out.splitlines()[1:] if line.startswith("10.0.")]
    at_443 = sum(s["port"] == 443 for s in services)
    assert len(shown) == min(at_443, 100)
    assert "--limit 0 shows all" in table.err or at_443 < 100
    with (stage.folder / "certificates.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(stage.documents("certificates", "sqlite:scan.db")) > 5


def what_zmaps_users_typed(stage: Stage) -> None:
    """A file, a filter, and a pipe through tee."""
    at_80 = {ip for ip, _ in _open(stage, "10.0.", 80)}
    assert set((stage.folder / "results.csv").read_text().split()) == at_80 | {"saddr"}
    rows = [json.loads(line) for line in (stage.folder / "open.jsonl").read_text().splitlines()]
    assert {row["saddr"] for row in rows} <= at_80
    assert all(row["classification"] == "synack" and row["ttl"] < 65 for row in rows)
    assert set((stage.folder / "all.csv").read_text().split()) == at_80 | {"saddr"}
    banners = [json.loads(line) for line in (stage.folder / "banners.jsonl").read_text().splitlines()]
    assert {banner["ip"] for banner in banners} == at_80


def what_the_pipes_wrote(stage: Stage) -> None:
    """Every address that ZMap wrote led to a conversation, and every open one of our own scan.

    ZMap on two busy cores was once seen to find one of 211 less; what it finds is for it to answer.
    """
    at_80 = {ip for ip, _ in _open(stage, "10.0.", 80)}
    by_zmap = set((stage.folder / "zmap.txt").read_text().split())
    assert by_zmap <= at_80
    assert len(by_zmap) > len(at_80) * 0.95
    banners = [json.loads(line) for line in (stage.folder / "banners.jsonl").read_text().splitlines()]
    assert {b["ip"] for b in banners} == by_zmap
    assert {b["port"] for b in banners} == {80}
    assert sum(b["outcome"] == "ok" for b in banners) > len(at_80) / 2
    lines = (stage.folder / "banners.txt").read_text().splitlines()
    assert {line.split()[0] for line in lines} == at_80
    assert any("HTTP/1.1 200 OK\\r\\n" in line for line in lines)
    chains = [json.loads(line) for line in (stage.folder / "certificates.jsonl").read_text().splitlines()]
    assert {(t["ip"], t["port"]) for t in chains} == _open(stage, "10.0.", 443)
    assert all(t["hit"] for t in chains)
    assert any(t["chain"] for t in chains)


def friends_have_shared_a_scan(stage: Stage) -> None:
    """The campaign is complete, all of it done by alice, and the log has a hit for every open service."""
    _have_shared(stage, "spring", "alice", 80, 443)


def friends_have_shared_by_a_broker(stage: Stage) -> None:
    _have_shared(stage, "autumn", "carol", 22)


def _have_shared(stage: Stage, name: str, alias: str, *ports: int) -> None:

    def scans() -> list[dict[str, Any]]:
        return [json.loads(line) for line in stage.run("longline campaign status --json").out.splitlines()]

    stage.until(lambda: any(scan["state"] == "complete" for scan in scans()), "the scan is complete")
    [scan] = scans()
    assert (scan["scan"], scan["done"], scan["twice"]) == (name, scan["targets"], 0)
    [agent] = json.loads(stage.run("longline fleet top --json").out)["table"]
    assert (agent["alias"], agent["sent"]) == (alias, scan["targets"])
    assert scan["hits"] == len(_open(stage, "10.0.", *ports)) > 0
    assert (stage.folder / f"{alias}.token").read_text().startswith("ll1.")


def friends_have_grabbed_too(stage: Stage) -> None:
    """Every open service is stored, each with its conversation."""
    wanted = _open(stage, "10.0.", 22, 80, 443)

    def complete() -> bool:
        services = stage.documents("services", "sqlite:scan.db")
        there = {(s["ip"], s["port"]) for s in services}
        assert there <= wanted
        return there == wanted and all(("tls" if s["port"] == 443 else "banner") in s for s in services)

    stage.until(complete, f"{len(wanted)} services are stored")
    [agent] = json.loads(stage.run("longline fleet top --json").out)["table"]
    assert (agent["alias"], agent["grabs"]) == ("alice", "banner,tls")


def somebody_is_left_alone(stage: Stage) -> None:
    """With the reason, in the table and in the file."""
    assert "the owner asked" in stage.said[1].out
    assert (stage.folder / "optout.txt").read_text().splitlines()[-1].startswith("192.0.2.0/24  # 20")


def an_abuse_mail_is_answered(stage: Stage) -> None:
    """Who, from where, under which approval; and that the address is left alone from now on."""
    said = stage.said[-1].out
    assert "approval  ethics board 2026-17" in said
    assert "mail: asked by mail" in said
    assert "1 at most, to 1 addresses" in said
    answer = json.loads(stage.run("longline audit show 192.0.2.0/24 --json --store sqlite:scan.db").out)
    [scan] = answer["scans"]
    assert scan["stored"]["hit"] == len(_open(stage, "192.0.2.", 443)) > 0
    assert (scan["unfinished"], scan["addresses"], len(scan["from"][0]["addresses"])) == (None, 256, 1)


def two_scans_were_compared(stage: Stage) -> None:
    """Nobody came and nobody went; and every service is counted in each scan."""
    services = _open(stage, "10.0.", 22, 80, 443)
    summary = stage.said[2].err
    assert "0 added, 0 gone" in summary
    same = int(summary.split(" the same")[0].rpartition(" ")[2])
    changed = int(summary.split(" changed")[0].rpartition(" ")[2])
    assert same + changed == len(services) > 0
    assert stage.said[4].out.splitlines()[0].split()[:3] == ["scan", "start", "services"]
    [*days] = map(json.loads, stage.said[6].out.splitlines())
    assert sum(day["services"] for day in days) in (len(services), 2 * len(services)), "one day, or over midnight"


def the_notice_is_read_by_those_who_were_scanned(stage: Stage) -> None:
    """On port 80, and as files."""
    stage.until(lambda: stage.get(80, "/")[0] == 200, "the notice is served")
    page = stage.get(80, "/")[1]
    assert "scan@measurement.example" in page
    assert "case 2026-17" in page
    assert stage.get(80, "/notice.txt")[1] == (stage.folder / "www/notice.txt").read_text()
    assert "Contact: mailto:scan@measurement.example" in (stage.folder / "www/.well-known/security.txt").read_text()


def requests_were_decided(stage: Stage) -> None:
    """One is in the list, and one is not."""
    invited, waiting, *_, listed = stage.said
    assert invited.out.startswith("https://scan.measurement.example/invite/")
    assert waiting.out.count("waiting") == 2
    assert "8.8.8.0/24" in listed.out
    assert "request 1 of alice: a hospital" in listed.out
    assert "9.0.0.0/8" not in listed.out


def the_sources_were_looked_at(stage: Stage) -> None:
    """As far as nothing leaves this host."""
    looked = stage.said[1].out
    assert "notice.toml, 3 sources" in looked
    assert looked.count("warn reverse DNS: 192.0.2.1") == 2
    assert "probe text" in looked


def a_network_is_watched(stage: Stage) -> None:
    """What would be scanned was told, the first sweep is complete and assessed, and all that is open is known."""
    there = _open(stage, "10.0.", 80, 443)
    assert "4,096" in stage.said[0].out
    services = {(s["ip"], s["port"]) for s in stage.documents("services", "sqlite:watch.db")}
    assert services == there
    [scan] = [scan for scan in stage.documents("scans", "sqlite:watch.db") if scan["_id"] == "watch-full-000001"]
    assert scan["assessed"]["counters"]["loss"] == 0.0
    assert scan["assessed"]["spec"]["campaign"] == "watch"

    def stands() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(stage.run("longline campaign status --json").out)
        return found

    stage.until(lambda: stands()["state"] in ("waiting", "running"), "the conductor runs")
    assert stands()["known"] == len(there)


def a_campaign_was_paused_and_goes_on(stage: Stage) -> None:
    """Each command was understood by who runs it."""
    assert "weekly" in next(said.out for said in stage.said if "list" in said.command)
    row = json.loads(stage.run("longline campaign status --json").out)
    assert row["state"] != "paused"


def nobody_is_in_the_fleet_yet(stage: Stage) -> None:
    """Every command says so, and a token was made."""
    assert (stage.folder / "bob.token").read_text().startswith("ll1.")
    top = next(said for said in stage.said if "top" in said.command)
    assert "agents: 0 online" in top.out


def everything_through_kafka(stage: Stage) -> None:
    """All services of the network named, each with its conversation; and the three pages of every worker."""
    store = stage.said[0].command.split("--store ")[1].split()[0]
    wanted = _open(stage, "192.0.2.", 22, 80, 443)

    def complete() -> bool:
        services = stage.documents("services", store)
        there = {(s["ip"], s["port"]) for s in services}
        assert there <= wanted
        return there == wanted and all(("tls" if s["port"] == 443 else "banner") in s for s in services)

    stage.until(complete, f"{len(wanted)} services are stored")
    assert len(wanted) > 15
    [scan] = stage.documents("scans", store)
    assert scan["end"]["position"] == 3 * 256
    assert (stage.folder / "scan.checkpoint").exists()
    for port, name in ((9101, "sink"), (9102, "bannergrab"), (9103, "tlsgrab")):
        assert stage.get(port, "/healthz")[0] == 200
        assert stage.get(port, "/readyz")[0] == 200
        status, body = stage.get(port, "/metrics")
        assert (status, f"longline_{name}_records_taken_total" in body) == (200, True)


# --- docs/continuation.md


def _records(stage: Stage, name: str, kind: str, port: int, *vias: str) -> list[dict[str, object]]:
    """The records of one kind in a file: one for each open target, by one of these ways."""
    lines = [json.loads(line) for line in (stage.folder / name).read_text().splitlines()]
    records = [each for each in lines if each["kind"] == kind]
    assert {(each["ip"], each["port"]) for each in records} == _open(stage, "10.0.", port)
    assert len(records) > 100
    ways = {each["via"] for each in records}
    assert vias[0] in ways, ways
    assert ways <= set(vias), ways
    return records


def banners_of_the_scan(stage: Stage) -> None:
    """Every open target is told of, over the connection that the probe opened."""
    http = _records(stage, "http.jsonl", "banner", 80, "raw")
    assert sum(each["outcome"] == "ok" for each in http) > len(http) / 2
    ssh = _records(stage, "ssh.jsonl", "banner", 22, "raw")
    rows = (stage.folder / "open.csv").read_text().splitlines()
    assert rows[0] == "saddr"
    assert {each["ip"] for each in ssh} <= set(rows[1:])  # with -O csv refusals stand there too, as in ZMap
    services = _records(stage, "services.jsonl", "banner", 22, "raw")
    assert "ssh" in {each["service"] for each in services}
    assert any(each["chain"] for each in _records(stage, "certificates.jsonl", "tls", 443, "raw"))


def banners_of_held_connections(stage: Stage) -> None:
    """Adopted, and by packets."""
    adopted = _records(stage, "adopted.jsonl", "banner", 80, "adopt")
    assert sum(each["outcome"] == "ok" for each in adopted) > len(adopted) / 2
    # A server that refuses the first hello is asked with another one, which is another connection.
    raw = _records(stage, "raw.jsonl", "tls", 443, "raw", "connect")
    assert sum(each["via"] == "raw" for each in raw) > len(raw) / 2


def banners_after_zmap(stage: Stage) -> None:
    """ZMap's own half-open connections, adopted."""
    _records(stage, "zmap.jsonl", "banner", 80, "adopt")


# --- docs/scanner.md


def what_the_scans_found(stage: Stage) -> None:
    """The truth, whole and in two shards; the order has every target once."""

    def rows(name: str) -> list[str]:
        return (stage.folder / name).read_text().splitlines()[1:]

    assert {(ip, int(port)) for ip, port in (row.split(",") for row in rows("open.csv"))} == _open(
        stage, "10.0.", 80, 443
    )
    first, second = rows("first.csv"), rows("second.csv")
    at_80 = {ip for ip, _ in _open(stage, "10.0.", 80)}
    assert len(first) + len(second) == len(at_80)
    assert {*first, *second} == at_80
    assert first
    assert second
    order = (stage.folder / "order.txt").read_text().splitlines()
    assert len(order) == len(set(order)) == 4096
    assert order[0].endswith(",80")
    assert stage.net is not None
    addresses = stage.net.truth.addresses()
    speaks = addresses[~stage.net.truth.mute(addresses)]
    assert {int(IPv4Address(ip)) for ip in rows("alive.csv")} == {int(a) for a in speaks if a >> 16 == 10 << 8}
    assert (stage.folder / "packets.txt").read_text().count("tcp {") == 2
    assert "icmp_echoscan" in stage.said[-1].out


# --- make


def what_masscans_command_wrote(stage: Stage) -> None:
    """XML of every open port of the addresses asked, and who answers a ping."""
    hosts = ElementTree.parse(stage.folder / "scan.xml").getroot().findall("host")
    found = {
        (host.find("address").get("addr"), port.get("protocol"), int(port.get("portid", "")))  # type: ignore[union-attr]
        for host in hosts
        for port in host.iter("port")
    }
    wanted = {pair for pair in _open(stage, "10.0.", 80, 443) if int(pair[0].split(".")[2]) < 4}
    assert {(ip, port) for ip, proto, port in found if proto == "tcp"} == wanted
    assert {proto for _, proto, _ in found} <= {"tcp", "udp", "icmp"}


def _recipe(verb: str, *more: str) -> str:
    """What `make verb` would do."""
    ran = subprocess.run(["make", "-n", verb, *more], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout


def make_runs_the_demo_and_the_tests(stage: Stage) -> None:
    """`make demo` is `longline demo` (played whole by test_demo.py); `make test` is pytest, run by `.ci/run`."""
    del stage
    assert "bin/longline demo" in _recipe("demo")
    assert "-m pytest" in _recipe("test")
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def make_has_the_verbs(stage: Stage) -> None:
    """The checks and the tests are those of CI."""
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    verbs = [said.command.split()[1] for said in stage.said]
    assert {"check", "test"} <= set(verbs)
    assert all(_recipe(verb) for verb in verbs)
    assert {"make check", "make test"} <= set(ci)


def make_runs_the_benches(stage: Stage) -> None:
    """`make bench` is `python -m tests.bench` with the names given (played by tests/bench)."""
    from tests.bench.__main__ import BENCHES

    for said in stage.said:
        _, verb, *words = said.command.split(maxsplit=2)
        recipe = _recipe(verb, *(word.replace('"', "") for word in words))
        assert "-m tests.bench" in recipe
        names = recipe.partition("-m tests.bench")[2].splitlines()[0].split()
        assert set(names) <= set(BENCHES)


# --- elsewhere


def images_have_these_targets(stage: Stage) -> None:
    """Each `docker build` names the file and a target of it, which tests/servers/images.py builds."""
    from tests.servers.images import KINDS

    targets = []
    for said in stage.said:
        words = shlex.split(said.command)
        assert words[:2] == ["docker", "build"]
        assert (ROOT / words[words.index("-f") + 1]).is_file()
        targets.append(words[words.index("--target") + 1])
        assert words[words.index("-t") + 1] == f"longline/{targets[-1]}"
    assert sorted(targets) == sorted(KINDS)


def compose_has_these_services(stage: Stage) -> None:
    """Each `docker compose` names the file, a profile of it, a service and words that the program understands."""
    from tests.servers.compose import project

    services = project(ROOT / "deploy" / "compose.yaml")["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", ())}
    for said in stage.said:
        words = shlex.split(said.command)
        if words[0] != "docker":
            continue
        assert words[1:4] == ["compose", "-f", "deploy/compose.yaml"]
        if "--profile" in words:
            assert words[words.index("--profile") + 1] in profiles
        if "run" in words:
            service, *typed = words[words.index("--rm") + 1 :]
            assert service in services
            _parsed(typed or services[service]["command"])


def _parsed(words: Sequence[str]) -> None:
    name, *rest = words
    parser_of(name, importlib.import_module(f"stages.cli.{name}")).parse(rest)


def the_cluster_gets_what_it_needs(stage: Stage) -> None:
    """The overlay can be built, and the secret is the one that its pods mount."""
    from tests.servers.kustomize import manifests

    secret, applied = (shlex.split(said.command) for said in stage.said[1:])
    documents = manifests(ROOT / applied[applied.index("-k") + 1])
    mounted = {
        volume["secret"]["secretName"]
        for document in documents
        for volume in document.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", ())
        if "secret" in volume
    }
    assert mounted == {secret[secret.index("generic") + 1]}
    assert any(word.startswith("--from-literal=store-url=") for word in secret)


# --- docs


def the_backup_can_be_read(stage: Stage) -> None:
    assert (stage.folder / "backup.db").stat().st_size > 0


def orders_stand(stage: Stage) -> None:
    """All were listed, on both ways; what was lifted is gone."""
    table = next(said.out for said in stage.said if "--list" in said.command)
    assert table.count("campaign") == 2
    assert "192.0.2.0/24" in table
    assert table.count("a complaint") == 2
    left = stage.run("longline stop --list --json --bus sqlite:scan.db").out
    assert [json.loads(line)["scope"] for line in left.splitlines()] == ["campaign", "prefix", "campaign"]


def the_dataset_is_whole(stage: Stage) -> None:
    assert stage.said[-1].out == "2026-11 is whole\n"
    files = json.loads((stage.folder / "2026-11" / "manifest.json").read_text())["files"]
    assert [file["collection"] for file in files] == ["services", "certificates"]


def settings_of_the_file(stage: Stage) -> None:
    """The example file is in force, and every setting says where it came from."""
    whole, runner = stage.said
    for line in (
        "bus.url = 'kafka://broker.example:9092'",
        "bannergrab.concurrent = 5000",
        "bannergrab.read_timeout = 3.0",
        "lists.blocklist_file = ('/etc/longline/blocklist.txt',)",
    ):
        [row] = [row for row in whole.out.splitlines() if row.startswith(line.partition(" = ")[0] + " = ")]
        assert row.startswith(line)
        assert "longline.toml" in row.partition("  # ")[2]
    rows = [json.loads(line) for line in runner.out.splitlines()]
    assert rows
    assert {row["section"] for row in rows} == {"runner"}
    assert {row["origin"] for row in rows} == {"default"}


def the_doctor_has_looked(stage: Stage) -> None:
    """At all that it can look at here."""
    _, looked = stage.said
    checks = {line.split()[1].rstrip(":") for line in looked.out.splitlines() if not line.startswith(" ")}
    assert {"privileges", "xdp", "descriptors", "clock", "blocklist", "log", "store"} <= checks


def topics_were_planned_and_made(stage: Stage) -> None:
    """What was planned is what was done."""
    planned, applied = ([line.split()[:2] for line in said.out.splitlines()[1:]] for said in stage.said)
    assert planned == applied
    assert len(planned) == 12


def dead_letters_were_looked_for(stage: Stage) -> None:
    """There were none: a heading, no line, nothing put back. With some: tests/cli/test_dead.py."""
    _, listed, _, replayed = stage.said
    assert listed.out.split() == ["stage", "reason", "topic", "number", "latest_error"]
    assert replayed.out == "0 lines put back, 0 refused\n"


def erasures_are_on_record(stage: Stage) -> None:
    """Nothing was there; that it was asked for is kept all the same, and the dry run is not."""
    *_, listed = stage.said
    rows = [line.split() for line in listed.out.splitlines()[1:]]
    assert [row[0] for row in rows] == ["192.0.2.0/24", "2001:db8::/32"]
    assert all("the owner asked" in " ".join(row) for row in rows)


def what_stands_in_simnet(stage: Stage) -> None:
    """The truth as lines; a scan inside finds what stands there; a shell opens and ends."""
    truth, _, _ = stage.said
    small = Spec(targets=("10.0.0.0/24",), ports=(22, 80)).truth()
    assert truth.out.splitlines() == [f"{ip},{port},{kind.name.lower()}" for ip, port, kind in small.services()]
    scanned = Spec(targets=("10.0.0.0/20",), ports=(80,)).truth()
    header, *found = (stage.folder / "found.csv").read_text().splitlines()
    assert header == "saddr"
    assert set(found) == {ip for ip, _, kind in scanned.services() if kind >= Kind.HTTP}
    assert Path("/proc/net/dev").read_text().count("near0:") == 0


#: Seconds that a frame can have left later than the log of its batch says, where others had the processor meanwhile.
#: The delays played are half a second and more.
SEND_TIME_ERROR = 0.05


def what_the_responder_plays(stage: Stage) -> None:
    """What the scans found is what the responder's truth says, down to the repeats and the delays."""
    _, _, printed = stage.said
    truth = ResponderTruth(1, Responder(("10.64.0.0/16",)))
    header, *found = (stage.folder / "found.csv").read_text().splitlines()
    addresses = truth.addresses()
    assert header == "saddr"
    opened = addresses[truth.successes(addresses, 80)]
    assert sorted(int(IPv4Address(ip)) for ip in found) == opened.tolist()
    shares = {"synack": 0.5, "delayed": 0.2, "duplicate": 0.1}
    few = ResponderTruth(1, Responder(("10.64.0.0/20",), shares, (0.5, 1.0)))
    rows = [line.split(",") for line in (stage.folder / "all.csv").read_text().splitlines()[1:]]
    records = {str(IPv4Address(record.address)): record for record in few.records(80)}
    assert Counter(row[0] for row in rows) == Counter({ip: record.count for ip, record in records.items()})
    # When a frame left is known from its batch's beginning and end: on a busy machine to some milliseconds.
    assert all(row[1] == "synack" and float(row[3]) >= records[row[0]].delay - SEND_TIME_ERROR for row in rows)
    every = ResponderTruth(1, Responder(("10.64.0.0/28",)))
    kinds = every.reactions(every.addresses(), 80).tolist()
    lines = [line for line in printed.out.splitlines() if line.startswith("10.64.")]
    assert lines == [f"10.64.0.{i},80,{Reaction(kind).name.lower()}" for i, kind in enumerate(kinds) if kind]


def what_connections_hear(stage: Stage) -> None:
    """Every banner that was written is the truth's, the certificates aside, which are the network's own."""
    _, printed = stage.said
    spec = Responder(("10.64.0.0/20",), {"synack": 1.0}, says={"close": 0.5, "tls": 0.2, "mute": 0.3})
    truth = ResponderTruth(1, spec, (b"",))
    addresses = truth.addresses()
    says, banners = truth.says(addresses, 80).tolist(), truth.banners(addresses, 80)
    records = [json.loads(line) for line in (stage.folder / "said.jsonl").read_text().splitlines()]
    heard = {record["ip"]: record for record in records if record["kind"] == "banner"}
    right = 0
    for address, kind, banner in zip(addresses.tolist(), says, banners, strict=True):
        record = heard.get(str(IPv4Address(address)))
        if record is None:
            continue  # its SYN was lost, once
        right += kind != Says.CLOSE or b64decode(record["data"]) == banner
    assert right == len(heard) > 0.95 * len(addresses)
    few = ResponderTruth(1, Responder(("10.64.0.0/28",), {"synack": 1.0}, says={"http": 0.5, "greeting": 0.5}))
    lines = [line for line in printed.out.splitlines() if line.startswith("10.64.")]
    kinds = few.says(few.addresses(), 80).tolist()
    assert lines == [f"10.64.0.{i},80,synack,{Says(kind).name.lower()}" for i, kind in enumerate(kinds)]


# --- docs/certificates.md


def certificates_were_collected_and_judged(stage: Stage) -> None:
    """Every certificate of the network is stored and judged, and the questions find what there is."""
    _, judged, named, shared, _ = stage.said
    documents = stage.documents("certificates", "sqlite:scan.db")
    assert len(documents) > 5
    assert f"{len(documents)} of {len(documents)} certificates judged" in judged.out
    assert all({"expired", "self_signed", "untrusted"} <= d["verdicts"].keys() for d in documents)
    assert len(named.out.splitlines()) > 1
    assert len(shared.out.splitlines()) > 1
    exported = (stage.folder / "certificates.pem").read_text().count("BEGIN CERTIFICATE")
    assert 0 < exported <= len(documents)


# --- docs/tls.md


def certificates_in_five_commands(stage: Stage) -> None:
    """The five end well, and what is taken out is what the network shows, judged."""
    assert stage.net is not None
    assert len(stage.said) == 5
    _, judged, _, expiring, _ = stage.said
    shown = {
        digest
        for one in stage.net.expected()
        if one.port == 443 and one.ip.startswith("10.")
        for digest in one.chain or ()
    }
    lines = (stage.folder / "certificates.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["_id"] for line in lines) == sorted(shown)
    assert f"{len(shown)} of {len(shown)} certificates judged" in judged.out
    assert len(expiring.out.splitlines()) > 5
