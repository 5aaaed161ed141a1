"""All benches, one after the other: `python -m tests.bench [NAME ...]`. `make bench` does the set-up first.

Each is a process of its own, so that none inherits another's memory or compiled kernels, and has a bounded time. What
they print is shown as it comes; at the end stands one table (Markdown, as in docs/benchmarks.md), and everything is
in .cache/bench.json. Exit code 1 when a bar was missed or a bench failed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.rows import VARIABLE, bar_of, number

ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = ROOT / ".cache" / "bench.json"

#: Seconds that one bench may take: the longest fills a store with a million services, on a slow disk.
BOUND: Final = 1_200.0

#: Lines of a bench without rows that the table shows: the last ones, where the figures stand.
LINES: Final = 12

#: name -> its command. In the order of the pipeline; the demo, which has everything in it, last.
BENCHES: Final[Mapping[str, Sequence[str]]] = {
    name: (sys.executable, "-m", f"tests.bench.bench_{name}")
    for name in (
        "send",
        "rate",
        "templates",
        "frames",
        "dedup",
        "iterate",
        "responder",
        "receive",
        "found",
        "continue",
        "topic",
        "start",
        "banner",
        "tls",
        "runner",
        "sqlite_log",
        "kafka_null",
        "sink",
        "corpus",
        "production",
        "fleet",
        "demo",
    )
}


def run(name: str, command: Sequence[str], bound: float = BOUND) -> dict[str, Any]:
    """One bench to its end; its exit code (None: out of time), seconds, rows and lines."""
    print(f"--- {name}", flush=True)
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows"
        said = Path(folder) / "said"
        began = time.monotonic()
        environment = {**os.environ, "LONGLINE_CONFINE": "1", "PYTHONUNBUFFERED": "1", VARIABLE: str(file)}
        with said.open("wb") as out, said.open() as follow:
            # A session of its own: what it started is ended with it.
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            try:
                code = _follow(process, follow, lines, began + bound)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, 9)
                    process.wait()
        rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return {"name": name, "code": code, "seconds": time.monotonic() - began, "rows": rows, "lines": lines}


def _follow(process: subprocess.Popen[bytes], said: Any, lines: list[str], end: float) -> int | None:
    while True:
        code = process.poll()
        for line in said.read().splitlines():
            print(line, flush=True)
            lines.append(line)
        if code is not None:
            return code
        if time.monotonic() > end:
            print("out of time", flush=True)
            return None
        time.sleep(0.1)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The rows of all benches as Markdown; one that failed, or prints its figures by itself, stands there too."""
    lines = ["| what | bar | min | median | max | measured by |", "|---|---|---|---|---|---|"]
    for result in results:
        by = f"`bench_{result['name']}`"
        for row in result["rows"]:
            judged = f"; judged by {number(row['judged'])}" if row["judged"] is not None else ""
            what = f"{row['what']} [{row['unit']}]" if row["unit"] else row["what"]
            missed = "" if row["holds"] else " **missed**"
            figures = " | ".join(number(row[key]) for key in ("min", "median", "max"))
            lines.append(f"| {what} | {bar_of(row)}{judged}{missed} | {figures} | {by} |")
        if not result["rows"]:  # a bench that prints its figures by itself
            lines += [f"| {line.strip()} | | | | | {by} |" for line in result["lines"][-LINES:] if line.strip()]
        if result["code"] != 0 and all(row["holds"] for row in result["rows"]):
            end = "out of time" if result["code"] is None else f"exit code {result['code']}"
            lines.append(f"| {result['name']}: {end} | | | | | {by} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None, benches: Mapping[str, Sequence[str]] = BENCHES) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="*", help=f"which to run; default: all of {', '.join(benches)}")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="where the results go as JSON")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.name if name not in benches]:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(benches)}")
    results = [run(name, command) for name, command in benches.items() if not args.name or name in args.name]
    machine = {
        "cpus": os.cpu_count(), "machine": platform.machine(), "kernel": platform.release(),
        "python": platform.python_version(),
    }  # fmt: skip
    args.results.parent.mkdir(parents=True, exist_ok=True)
    args.results.write_text(json.dumps({"machine": machine, "benches": results}, indent=1) + "\n")
    print(f"\n{machine['cpus']} CPUs ({machine['machine']}), Linux {machine['kernel']}, Python {machine['python']}\n")
    print(table(results), end="")
    return 0 if all(result["code"] == 0 for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
