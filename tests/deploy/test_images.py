"""The images: small, of nobody in particular, and able to do their work with what a cluster leaves them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages import __version__
from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.stored import assert_true, documents
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until
from tests.require import require
from tests.servers import as_cluster, images
from tests.servers.images import contained, environment, podman

pytestmark = pytest.mark.slow

#: Bytes.
LARGEST = 350_000_000

NET_RAW = ("NET_RAW",)
BOTH = ("NET_RAW", "NET_ADMIN")

CAPABILITIES: dict[str, tuple[str, ...]] = {"worker": (), "scanner": NET_RAW, "continuation": BOTH}

#: Pinned for the build, and not in the image.
ONLY_BUILT_WITH = {"hatchling", "editables", "pathspec", "pluggy", "trove-classifiers", "pygments", "pip"}

#: The guard of the tests goes into the containers too.
CONFINED = {"LONGLINE_CONFINE": "1"}


@pytest.fixture(autouse=True, scope="module")
def _images() -> None:
    images.require_images()


def run(words: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, input=text, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )


def inspect(kind: str) -> dict[str, object]:
    (told,) = json.loads(run(["podman", "image", "inspect", images.name(kind)]).stdout)
    return dict(told)


@pytest.mark.parametrize("kind", images.KINDS)
def test_an_image_is_small_and_says_what_it_is(kind: str) -> None:
    told = inspect(kind)
    config = told["Config"]
    assert isinstance(config, dict)
    assert isinstance(told["Size"], int)
    assert told["Size"] <= LARGEST
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert config["Entrypoint"] == ["/opt/longline/bin/longline"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "BSD-3-Clause"


@pytest.mark.parametrize("kind", images.KINDS)
def test_there_is_no_shell_and_no_package_manager(kind: str) -> None:
    for program in ("sh", "/bin/sh", "apt-get", "pip"):
        command = podman(kind, "-c", "true")
        command.insert(2, f"--entrypoint={program}")
        assert run(command).returncode in (126, 127), program


@pytest.mark.parametrize("kind", images.KINDS)
def test_it_starts_with_what_it_is_given(kind: str) -> None:
    """A scanner's interpreter carries its capability, so it needs to be given it."""
    done = run(podman(kind, "--version", capabilities=CAPABILITIES[kind]))
    assert (done.returncode, done.stdout) == (0, f"longline {__version__}\n")


@pytest.mark.parametrize(
    ("kind", "added", "has"),
    [("worker", BOTH, 0), ("scanner", BOTH, 1 << 13), ("scanner", (), 0), ("continuation", BOTH, 1 << 12 | 1 << 13)],
)
def test_what_an_interpreter_may_in_a_cluster(kind: str, added: tuple[str, ...], has: int) -> None:
    """The pod's added capabilities reach it through its file capabilities, under no_new_privs, as nobody; a scanner
    without its capability does not even start, which the kernel says."""
    root = run(["podman", "image", "mount", images.name(kind)]).stdout.strip()
    python = "/opt/longline/bin/python"
    ask = "import re; print(re.search('CapEff:.([0-9a-f]+)', open('/proc/self/status').read())[1], end='')"
    words = [sys.executable, as_cluster.__file__, root, ",".join(added), python, "-I", "-c", ask]
    try:
        done = run(
            [
                "unshare",
                "-m",
                "sh",
                "-c",
                'mkdir -p "$0/proc" && mount --rbind /proc "$0/proc" && exec "$@"',
                root,
                *words,
            ]
        )
    finally:
        run(["podman", "image", "umount", images.name(kind)])
    if kind == "scanner" and not added:
        assert done.returncode
        assert "Operation not permitted" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert int(done.stdout, 16) == has


def test_kernels_are_loaded_and_not_compiled(town: Simnet) -> None:
    """numba says what it does with its cache: of what a scan needs, everything is found, and the root is read-only."""
    words = podman("scanner", *plans.scan(town, rate=20_000), "-o", "-", capabilities=NET_RAW)
    words[2:2] = ["-e", "NUMBA_DEBUG_CACHE=1", "-e", "LONGLINE_CONFINE=1"]
    with town.inside():
        done = run(words)
    assert done.returncode == 0, done.stderr
    found = [line for line in done.stdout.splitlines() if line.startswith("[cache]")]
    assert sum("data loaded" in line for line in found) >= 5
    missed = sum("index loaded" in line for line in found) - sum("data loaded" in line for line in found)
    assert missed == 0, done.stdout


def test_kernels_run_on_another_processor(tmp_path: Path) -> None:
    """An emulated Haswell, the oldest of x86-64-v3: what was compiled here is loaded there, and validates answers."""
    require(shutil.which("qemu-x86_64"), "qemu-x86_64 (Debian: qemu-user)")
    root = run(["podman", "image", "mount", images.name("worker")]).stdout.strip()
    env = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "", "NUMBA_DEBUG_CACHE": "1", "HOME": "/nonexistent"}
    code = "from stages.scanner import benchmark; print(benchmark.answers(0.1) > 0, benchmark.frames(0.1) > 0)"
    words = [word for name, value in env.items() for word in ("-E", f"{name}={value}")]
    script = str(Path(as_cluster.__file__).with_name("on_processor.sh"))
    command = ["unshare", "-m", "bash", script, root, str(tmp_path), "Haswell-noTSX", *words]
    try:
        done = run([*command, "/opt/longline/bin/python", "-c", code])
    finally:
        run(["podman", "image", "umount", images.name("worker")])
    assert done.returncode == 0, done.stderr
    assert "True True" in done.stdout
    cache = [line for line in done.stdout.splitlines() if line.startswith("[cache]")]
    assert sum("index loaded" in line for line in cache) == sum("data loaded" in line for line in cache) >= 5


def test_a_stage_in_a_pipe() -> None:
    done = run(podman("worker", "bannergrab", "-p", "80", interactive=True), '{"kind":"hit"}\n')
    assert done.returncode == 0, done.stderr
    (dead,) = (json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{"))
    assert (dead["kind"], dead["reason"]) == ("dead", "schema")


def test_the_demo_needs_no_network_and_no_privilege() -> None:
    """As compose runs it."""
    words = podman("worker", "demo", "--loopback")
    words[words.index("--network") + 1] = "none"
    words[2:2] = ["--tmpfs", "/tmp", "-w", "/tmp", "-e", "LONGLINE_CONFINE=1"]
    done = run(words)
    assert done.returncode == 0, done.stderr
    assert "0 missing, 0 invented, 0 wrong" in done.stdout


class Yard:
    """Containers in the town, named after the test."""

    def __init__(self, town: Simnet, log: Log, crew: Crew, folder: Path) -> None:
        self._town, self._log, self._crew, self._folder = town, log, crew, folder

    def container(
        self, kind: str, *words: str, name: str, capabilities: tuple[str, ...] = (), metrics: bool = True
    ) -> Worker:
        called = f"{self._log.prefix}-{name}"
        self._crew.callback(images.remove, called)
        wrap = contained(kind, capabilities=capabilities, called=called)
        worker = Worker(
            self._town, self._folder, *words, name=name, metrics=metrics, env={**environment(), **CONFINED}, wrap=wrap
        )
        return self._crew.hire(worker)


@pytest.fixture
def yard(town: Simnet, log: Log, crew: Crew, tmp_path: Path) -> Yard:
    return Yard(town, log, crew, tmp_path)


def test_the_whole_pipeline_container_by_container(town: Simnet, log: Log, store: str, crew: Crew, yard: Yard) -> None:
    topics = yard.container("worker", "topics", "apply", *log.words, "--retention", "1d", name="topics", metrics=False)
    init = yard.container("worker", "sink", "--init", "--store", store, name="init", metrics=False)
    for once in (topics, init):
        assert once.start().wait() == 0, once.tail()
    workers = [
        yard.container("worker", "sink", *log.words, "--store", store, name="sink"),
        yard.container("worker", "bannergrab", *log.words, *plans.BANNERS, name="bannergrab"),
        yard.container("worker", "tlsgrab", *log.words, *plans.TLS, name="tlsgrab"),
    ]
    for worker in workers:
        worker.start()
    crew.all_ready(workers)
    scan = yard.container("scanner", *plans.scan(town, rate=5_000), *log.words, name="scan", capabilities=NET_RAW)
    assert scan.start().wait() == 0, scan.tail()
    until(log.drained, "everything is stored")
    for worker in workers:
        assert worker.stop() == 143, worker.tail()
    assert_true(town, store)
    (told,) = documents(town, store, Collection.SCANS)
    assert {"start", "end"} <= told.keys()


def test_the_sidecar_goes_on_with_the_scanners_connections(town: Simnet, log: Log, crew: Crew, yard: Yard) -> None:
    """Scanner and continuation share a network, and a topic: what the one opens the other talks to, by packets."""
    here = (*log.words, "--scanner", "here")
    sidecar = yard.container(
        "continuation", "bannergrab", *here, "--via", "raw", *plans.BANNERS, name="sidecar", capabilities=BOTH
    )
    sidecar.start()
    crew.all_ready([sidecar])
    scan = yard.container(
        "continuation", *plans.scan(town, rate=5_000), *here, "--hold", name="scan", capabilities=BOTH
    )
    assert scan.start().wait() == 0, scan.tail()
    until(lambda: not log.behind("bannergrab", [log.topics.hits_of("here")]), "all hits are worked off")
    records = [json.loads(line) for value, _ in log.read(log.topics.banners) for line in value.splitlines()]
    assert sidecar.stop() == 143, sidecar.tail()
    assert len(records) > 300
    assert {record["via"] for record in records} == {"raw"}


@pytest.mark.parametrize("kind", images.KINDS)
def test_the_bill_of_materials_is_true(kind: str) -> None:
    """CycloneDX, and every pinned package that the program needs is in it, with its licence."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    ask = podman(kind, "-c", "print(open('/opt/longline/sbom.cdx.json').read())", capabilities=CAPABILITIES[kind])
    ask.insert(2, "--entrypoint=/opt/longline/bin/python")
    text = run(ask).stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = {part["name"]: part for part in json.loads(text)["components"]}
    pinned = re.findall(r"^([a-z0-9-]+)==(\S+)", (images.ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE)
    for name, version in pinned:
        if name not in ONLY_BUILT_WITH:
            assert bill[name]["version"] == version
            assert bill[name]["licenses"], name
    assert {"longline", "libc6", "libssl3"} <= bill.keys()
    assert ({"nftables", "libnftables1"} <= bill.keys()) == (kind == "continuation")
