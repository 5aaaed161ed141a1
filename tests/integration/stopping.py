"""Who gives orders, and whether anything is sent against them: counted where the packets arrive."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import orjson

from stages.simnet.network import Simnet
from tests.integration.workers import Crew, Worker, until

EVERYBODY = "10.0.0.0/8"

#: What is promised.
WITHIN = 5.0


class Sent:
    """Packets that reached the far side, but for resets: those only end what is there already."""

    def __init__(self, net: Simnet, whom: str) -> None:
        self._net = net
        self._rules = f"""
table ip stopped {{
    chain input {{
        type filter hook input priority -50; policy accept;
        ip daddr {whom} meta l4proto tcp tcp flags & rst == 0 counter
        ip daddr {whom} meta l4proto udp counter
    }}
}}
"""

    def _nft(self, *words: str, rules: str = "") -> bytes:
        nft = self._net.far_run(["nft", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        output, _ = nft.communicate(rules.encode(), timeout=30)
        assert nft.returncode == 0
        return bytes(output)

    def __enter__(self) -> Sent:
        self._nft("-f", "-", rules=self._rules)
        return self

    def __exit__(self, *_: object) -> None:
        self._nft("delete", "table", "ip", "stopped")

    @property
    def value(self) -> int:
        listed = orjson.loads(self._nft("-j", "list", "table", "ip", "stopped"))
        rules = (item["rule"] for item in listed["nftables"] if "rule" in item)
        return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)

    def under_way(self, many: int = 20) -> None:
        until(lambda: self.value > many, "they are met")

    def last_within(self) -> None:
        """To be called as the order is given: the last packet has left by then, and none follows."""
        time.sleep(WITHIN)
        then = self.value
        time.sleep(WITHIN)
        assert self.value == then, f"{self.value - then} packets later than {WITHIN} s"


class Operator:
    """Gives orders by one way only: the file of this host is another one than that of those who are to hear."""

    def __init__(self, net: Simnet, folder: Path, crew: Crew, *words: str, host: bool = False) -> None:
        self._net, self._folder, self._crew, self._words = net, folder, crew, words
        self.file = folder / ("orders.jsonl" if host else "operators.jsonl")
        self.heard = {"LONGLINE_ORDERS_FILE": str(folder / "orders.jsonl")}

    def say(self, *words: str) -> None:
        env = {"LONGLINE_ORDERS_FILE": str(self.file)}
        worker = Worker(self._net, self._folder, *words, *self._words, name="operator", metrics=False, env=env)
        assert self._crew.hire(worker).start().wait() == 0, worker.tail()

    def stop(self, *words: str) -> None:
        self.say("stop", *words, "--reason", "a test")
