"""A stage that may not have more memory than it has (RLIMIT_DATA): it ends, or goes on; nothing untrue is stored.

Mostly it says why. Libraries in C that get no memory may end a process without a word, and so does the kernel's other
way, the OOM killer: that is SIGKILL, test_killed.py.
"""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from tests.integration.stored import assert_true
from tests.integration.test_outages import begin
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until


def data_bytes(worker: Worker) -> int:
    """What of the worker's memory RLIMIT_DATA counts (proc(5): VmData)."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmData:")]
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2], ids=["sink", "bannergrab", "tlsgrab"])
def test_a_stage_gets_no_more_memory(
    town: Simnet, log: Log, store: str, crew: Crew, tmp_path: Path, stage: int
) -> None:
    workers, scan = begin(town, log, store, crew, tmp_path)
    poor = workers[stage]
    limit = data_bytes(poor)
    resource.prlimit(poor.process.pid, resource.RLIMIT_DATA, (limit, limit))
    assert scan.wait() == 0, scan.tail()
    until(lambda: not poor.running or log.drained(), "it ends, or goes on", 120)
    if not poor.running:
        assert poor.wait() != 0
        poor.start()
    until(log.drained, "everything is stored", 120)
    assert_true(town, store)
    assert not log.read(log.topics.dead)
