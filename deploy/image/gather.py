"""The folders that become the images: `python3 gather.py ENVIRONMENT INTO`, run in the build.

INTO/worker has the environment, the interpreter's library, the shared objects that they load, certificates, and the
files by which a C library finds names; nothing else, so neither a shell nor a package manager. INTO/scanner is the same
with file capabilities on its interpreter, INTO/continuation with more of them, and nft(8).
"""

from __future__ import annotations

import compileall
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import sbom

#: Parts of packages that no program of ours imports: their tests, headers, other languages' sources.
UNUSED: Final = ("tests", "test", "include", "*.pyi", "*.pyx", "*.pxd", "*.h", "*.c", "*.cpp", "*.a", "*.lib")
#: Of Python's own library: what is for building and teaching.
UNUSED_OF_PYTHON: Final = (
    "test", "idlelib", "tkinter", "turtledemo", "turtle.py", "lib2to3", "ensurepip", "pydoc_data", "distutils",
    "config-*", "__pycache__", "site-packages", "dist-packages", "sitecustomize.py", "nis.*", "_dbm.*", "_gdbm.*",
    "_test*", "_ctypes_test*", "_xxtestfuzz*",
)  # fmt: skip
#: Of numba, what runs on a graphics card; of scapy, protocols that no template has; of numpy, building.
UNUSED_OF_PACKAGES: Final = (
    "numba/cuda", "pydantic/v1", "scapy/contrib", "scapy/modules", "numpy/f2py", "numpy/distutils",
    "numpy/_pyinstaller",
)  # fmt: skip
#: Bytecode of scapy would be five megabytes for a helper that runs when a template is not in the cache.
NOT_COMPILED: Final = re.compile("/scapy/")
#: Who runs it: nobody in particular, by number, as a cluster wants it.
USER: Final = 65532
CAPABILITIES: Final = {"scanner": "cap_net_raw+ep", "continuation": "cap_net_raw,cap_net_admin+ep"}


def needed(programs: Iterable[Path]) -> set[Path]:
    """Shared objects that these ELF files load from the system, ldd(1) says, the dynamic linker included."""
    found: set[Path] = set()
    for program in programs:
        told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
        for line in told.splitlines():
            words = line.split()
            path = words[2] if len(words) > 2 and words[1] == "=>" else words[0] if words else ""
            if path.startswith(("/lib", "/usr/lib")):
                found.add(Path(path))
    return found


def put(file: Path, root: Path) -> None:
    """Copy a system's file to the same place below `root`, what a link points to under the link's name."""
    into = root / file.relative_to("/")
    into.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, into, follow_symlinks=True)


def worker(environment: Path, root: Path) -> None:
    home = root / environment.relative_to("/")
    shutil.copytree(environment, home, symlinks=True, ignore=shutil.ignore_patterns(*UNUSED, "bin"))
    packages = next(home.glob("lib/python3*/site-packages"))
    for name in UNUSED_OF_PACKAGES:
        shutil.rmtree(packages / name, ignore_errors=True)
    (home / "bin").mkdir()
    for name in ("python", "longline"):
        shutil.copy2(environment / "bin" / name, home / "bin" / name)
    (home / "bin" / "python3").symlink_to("python")
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, root / library.relative_to("/"), ignore=shutil.ignore_patterns(*UNUSED_OF_PYTHON))
    objects = [path for path in root.rglob("*.so*") if path.is_file() and not path.is_symlink()]
    # Libraries that a wheel brings along (NAME.libs) were moved about by patchelf(1): strip(1) would break them.
    ours = [path for path in objects if not path.parent.name.endswith(".libs")]
    subprocess.run(["strip", "--strip-unneeded", *map(str, ours)], check=True)
    for file in needed([home / "bin" / "python", *objects]):
        put(file, root)
    for name in ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/openssl.cnf"):
        if Path(name).exists():
            put(Path(name), root)
    (root / "etc" / "passwd").write_text(f"longline:x:{USER}:{USER}:longline:/nonexistent:/sbin/nologin\n")
    (root / "etc" / "group").write_text(f"longline:x:{USER}:\n")
    (root / "etc" / "nsswitch.conf").write_text("hosts: files dns\n")
    for folder in ("proc", "sys", "dev", "tmp"):
        (root / folder).mkdir()
    (root / "tmp").chmod(0o1777)
    for folder in (root / library.relative_to("/"), packages):
        compileall.compile_dir(
            folder, quiet=2, workers=0, stripdir=str(root), rx=NOT_COMPILED,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip


def privileged(kind: str, environment: Path, root: Path) -> None:
    """Make a copy of the worker's folder `root` the scanner's or the continuation's."""
    programs = [root / environment.relative_to("/") / "bin" / "python"]
    if kind == "continuation":
        nft = Path(shutil.which("nft") or "/usr/sbin/nft")
        put(nft, root)
        programs.append(root / nft.relative_to("/"))
        for file in needed([nft]):
            put(file, root)
    for program in programs:
        subprocess.run(["setcap", CAPABILITIES[kind], str(program)], check=True)


def main(environment: str, into: str) -> None:
    base = Path(into) / "worker"
    base.mkdir(parents=True)
    worker(Path(environment), base)
    sbom.write(base, Path(environment))
    (Path(into) / "state").mkdir()  # a scan's checkpoint, a SQLite file: where a volume goes
    for kind in CAPABILITIES:
        root = Path(into) / kind
        shutil.copytree(base, root, symlinks=True)
        privileged(kind, Path(environment), root)
        sbom.write(root, Path(environment))


if __name__ == "__main__":
    main(*sys.argv[1:])
