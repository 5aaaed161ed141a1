"""Our own images, without a daemon: `build` by buildah on a base made by mmdebstrap, `contained` by podman.

Public base images are not to be had everywhere the tests run; Debian's packages are. What is built stays below
`.cache/images` under a name that says what it was built from, so a second run starts at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from tests.require import require

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = ROOT / ".cache" / "images"
KINDS: Final = ("worker", "scanner", "continuation")

#: What the build needs of Debian beside the base itself, so that it need not install it each time.
PACKAGES: Final = "python3,python3-venv,ca-certificates,binutils,libcap2-bin,nftables"
SUITE: Final = "bookworm"

#: What the host's package tools are set up with, lent to the build.
LENT: Final = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")

#: The descriptors of this machine cannot be raised; crun refuses the control groups of some.
_CONTAINERS: Final = """\
[containers]
default_ulimits=["nofile=20000:20000","nproc=1000:1000"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
"""
_STORAGE: Final = '[storage]\ndriver="{driver}"\ngraphroot="{home}/storage"\nrunroot="{home}/run"\n'


def environment() -> dict[str, str]:
    """What buildah and podman are told: a store and settings of our own, none of the user's."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PIP_FIND")},
        "CONTAINERS_CONF": str(HOME / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(HOME / "storage.conf"),
        "STORAGE_DRIVER": _driver(),
    }


@cache
def _driver() -> str:
    """overlay where a file system can be laid over another, else vfs, which copies: slower, and works everywhere."""
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        for name in ("low", "up", "work", "root"):
            (Path(folder) / name).mkdir()
        options = "lowerdir=low,upperdir=up,workdir=work"
        tried = subprocess.run(
            ["unshare", "-m", "mount", "-t", "overlay", "overlay", "-o", options, "root"],
            cwd=folder, capture_output=True, check=False,
        )  # fmt: skip
    return "vfs" if tried.returncode else "overlay"


def _do(*words: str) -> str:
    done = subprocess.run(words, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:4])}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def sources() -> Iterator[Path]:
    """Files that the images are made from."""
    for top in ("deploy/Dockerfile", "deploy/image", "requirements/run.txt", "pyproject.toml", "stages"):
        path = ROOT / top
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


def tag() -> str:
    """Names what the tree would build."""
    digest = hashlib.sha256()
    for file in sources():
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def name(kind: str, of: str = "") -> str:
    return f"localhost/longline/{kind}:{of or tag()}"


def built() -> bool:
    """Whether the images of this very tree are there."""
    if shutil.which("podman") is None or not (HOME / "storage.conf").exists():
        return False
    now = tag()
    return not any(
        subprocess.run(["podman", "image", "exists", name(kind, now)], env=environment(), check=False).returncode
        for kind in KINDS
    )


def build() -> bool:
    """Have them. False where root or a program is missing; raises RuntimeError with what a tool said."""
    programs = ("podman", "buildah", "runc", "mmdebstrap")
    if os.geteuid() or any(shutil.which(program) is None for program in programs):
        return False
    if built():
        return True
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME / "containers.conf").write_text(_CONTAINERS)
    (HOME / "storage.conf").write_text(_STORAGE.format(home=HOME, driver=_driver()))
    base = f"localhost/base:{hashlib.sha256(PACKAGES.encode()).hexdigest()[:12]}"
    if subprocess.run(["podman", "image", "exists", base], env=environment(), check=False).returncode:
        tar = HOME / "base.tar"
        _do("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(tar))
        _do("podman", "import", str(tar), base)
        tar.unlink()
    lent = [word for file in LENT if Path(file).exists() for word in ("-v", f"{file}:{file}:ro")]
    now = tag()
    layers = ["--layers"] if _driver() == "overlay" else []  # vfs would copy everything for each of them
    for kind in KINDS:
        _do(
            "buildah",
            "bud",
            *(*layers, "--isolation", "chroot", "--cap-add", "all", *lent, "--build-arg", f"BASE={base}"),
            *("-f", "deploy/Dockerfile", "--target", kind, "-t", name(kind, now), "."),
        )
    _sweep(now)
    return True


def _sweep(now: str) -> None:
    """Remove images of other trees, and what the builds left: a gigabyte and a half each. What is in use stays."""
    there = _do("podman", "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    others = [image for image in there if image.startswith("localhost/longline/") and not image.endswith(f":{now}")]
    for words in (*[["rmi", "-f", image] for image in others], ["image", "prune", "-f"]):
        subprocess.run(["podman", *words], env=environment(), capture_output=True, check=False)


def remove(container: str) -> None:
    """End a container, if it is still there: who kills `podman run` does not end what it runs."""
    subprocess.run(
        ["podman", "rm", "-f", "-i", "-t", "0", container], env=environment(), capture_output=True, check=False
    )


def require_images() -> None:
    """Skip (in CI: fail) unless the images were built by `python -m tests.servers.fetch`."""
    require(built(), "the images: root, podman, buildah, runc, mmdebstrap, and `make test`, which builds them")


def podman(
    kind: str,
    *words: str,
    capabilities: Sequence[str] = (),
    mounts: Mapping[Path, str] | None = None,
    called: str | None = None,
    interactive: bool = False,
) -> list[str]:
    """The command that runs `longline words...` in a container as a cluster would: another user than root, a read-only
    root, no capability but those named, no new privileges; in the caller's network, with its LONGLINE_* settings."""
    command = ["podman", "run", "--rm", "--network", "host", "--read-only", "--read-only-tmpfs=false"]
    command += ["--security-opt", "no-new-privileges", "--cap-drop", "ALL"]
    command += ["--stop-timeout", "60", "--log-driver", "none"]
    command += [word for capability in capabilities for word in ("--cap-add", capability)]
    command += [word for path, at in (mounts or {}).items() for word in ("-v", f"{path}:{at}")]
    command += ["-e", "LONGLINE_*"]
    command += ["--name", called] if called else []
    command += ["-i"] if interactive else []
    return [*command, name(kind), *words]


def contained(
    kind: str, *, capabilities: Sequence[str] = (), mounts: Mapping[Path, str] | None = None, called: str | None = None
) -> Callable[[list[str]], list[str]]:
    """For `Worker(wrap=..., env=environment())`: the same words, in a container."""
    return lambda words: podman(kind, *words[1:], capabilities=capabilities, mounts=mounts, called=called)


if __name__ == "__main__":
    sys.exit(0 if build() else 1)
