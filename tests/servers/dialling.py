"""Run a Dialer over some targets, on any loop and poller, and hand back the conversations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import uvloop

from stages.net.conversation import Conversation, Dialogue
from stages.net.dialing import Dialer
from stages.net.poller import EpollPoller, LoopPoller
from stages.proto.banner import Script
from stages.proto.payload import Payload

#: Seconds for a whole test's conversations; longer than any of them should take.
DEADLINE = 15.0

POLLERS = {"epoll": EpollPoller, "loop": LoopPoller}
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@dataclass(frozen=True)
class Engine:
    """One way to run the engine."""

    poller: str
    loop: str
    reset: bool = False

    def converse(
        self,
        targets: Sequence[tuple[str, int]],
        dialogue: Dialogue | Callable[[str], Dialogue],
        *,
        connect_timeout: float = 5.0,
        max_bytes: int = 65_536,
        keep_data: bool = True,
    ) -> list[Conversation]:
        """Dial all targets at once; the conversations in the order of the targets."""

        async def run() -> list[Conversation]:
            ended: list[Conversation] = []
            done = asyncio.Event()

            def on_end(batch: list[Conversation]) -> None:
                ended.extend(batch)
                if len(ended) == len(targets):
                    done.set()

            dialer = Dialer(on_end, open_poller=POLLERS[self.poller], reset=self.reset, keep_data=keep_data)
            try:
                for number, (host, port) in enumerate(targets):
                    one = dialogue(host) if callable(dialogue) else dialogue
                    dialer.dial(host, port, one, number, connect_timeout=connect_timeout, max_bytes=max_bytes)
                async with asyncio.timeout(DEADLINE):
                    await done.wait()
                assert dialer.in_flight == 0
                assert dialer.open == 0
            finally:
                await dialer.close()
            return sorted(ended, key=lambda conversation: conversation.tag)

        with asyncio.Runner(loop_factory=LOOPS[self.loop]) as runner:
            return runner.run(run())


def script(payload: bytes | None = None, **settings: float) -> Script:
    """A script with short times."""
    times = {"first": 0.3, "idle": 0.3, "total": 10.0} | settings
    return Script(payload=None if payload is None else Payload.parse(payload), **times)
