"""The line between one stage and the broker is cut, silently and then by refusals, while the others go on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from tests.integration import plans
from tests.integration.stored import assert_true
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until
from tests.servers.kafka import KafkaServer, free_port
from tests.servers.proxy import Proxy


class Behind(KafkaServer):
    """A broker with a second listener, which it tells its clients to reach by a proxy."""

    def __init__(self, folder: Path, net: Simnet, stack: ExitStack) -> None:
        super().__init__(folder, net.joiner())
        self.second = free_port()
        with net.inside():
            self.proxy = stack.enter_context(Proxy("127.0.0.1", self.second))

    def more(self, properties: str) -> str:
        added = {
            "listeners": f",SECOND://127.0.0.1:{self.second}",
            "advertised.listeners": f",SECOND://127.0.0.1:{self.proxy.port}",
            "listener.security.protocol.map": ",SECOND:PLAINTEXT",
        }
        lines = [line + added.get(line.partition("=")[0], "") for line in properties.splitlines()]
        return "\n".join(lines) + "\ninter.broker.listener.name=PLAINTEXT\n"


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sink", "bannergrab", "scan"])
def test_one_stage_is_cut_off(town: Simnet, store: str, name: str, crew: Crew, tmp_path: Path, stage: str) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(Behind(tmp_path / "kafka", town, stack))
        log = Log(town, server, name)
        far = ("--bus", f"kafka://127.0.0.1:{server.proxy.port}", "--topic-prefix", name)

        def hire(title: str, *words: str) -> Worker:
            bus = far if title == stage else log.words
            return crew.hire(Worker(town, tmp_path, *words, *bus, name=title))

        plans.prepare(town, tmp_path, store)
        workers = {
            "sink": hire("sink", "sink", "--store", store),
            "bannergrab": hire("bannergrab", "bannergrab", *plans.BANNERS),
            "tlsgrab": hire("tlsgrab", "tlsgrab", *plans.TLS),
        }
        for worker in workers.values():
            worker.start()
        crew.all_ready(list(workers.values()))
        scan = hire("scan", *plans.scan(town, rate=800))
        scan.start()
        until(lambda: workers["sink"].metric("longline_sink_documents_total"), "something is stored")
        cut = scan if stage == "scan" else workers[stage]
        for silently in (True, False):
            server.proxy.cut(silently=silently)
            until(lambda: not cut.ready or not cut.running, f"{stage} is not ready")
            assert cut.healthy, cut.tail()
            assert all(worker.ready for title, worker in workers.items() if title != stage)
            server.proxy.mend()
            until(lambda: cut.ready or not cut.running, f"{stage} is ready again")
        assert scan.wait() == 0, scan.tail()
        until(log.drained, "everything is stored", 120)
        for worker in workers.values():
            assert worker.stop() == 143, worker.tail()
            assert worker.starts == 1
        assert_true(town, store)
        assert not log.read(log.topics.dead)
