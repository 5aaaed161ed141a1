"""Orders given: written where those who are to heed them look."""

from __future__ import annotations

import asyncio
import fcntl
import getpass
import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from stages.core import files
from stages.core.bus.base import Output, Topics
from stages.core.bus.urls import look, open_publisher
from stages.core.errors import HostError, Unavailable, UsageError
from stages.core.heed import OF_HOST, read_file
from stages.core.orders import MAX_BY, Fold, Order
from stages.core.settings import BusSettings

#: Seconds in which a log has to take an order, or the user hears that it did not.
PATIENCE: Final = 10.0

_SQLITE: Final = "sqlite:"

#: Orders are read by everybody, and written by whose the file is.
_MODE: Final = 0o644


def who() -> str:
    """Who gives an order, for the record: `ada@host`."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = str(os.geteuid())
    return f"{name}@{socket.gethostname()}"[:MAX_BY]


def write(file: str, orders: Iterable[Order]) -> None:
    """Into a file, whole or not at all, by one of us at a time; what does not stand any more is left out. Blocks.
    Raises HostError."""
    path = Path(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if file == OF_HOST else 0o700)
        with open(path.with_name(f"{path.name}.lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fold = read_file(path)
            fold.take(order.dump() for order in orders)
            files.replace(path, b"".join(order.dump() + b"\n" for order in fold.standing), _MODE)
    except OSError as error:
        raise HostError(f"{file} cannot be written: {error.strerror}") from None


async def publish(url: str, bus: BusSettings, orders: Sequence[Order]) -> None:
    """To the topic of a log. Raises UsageError, HostError, Unavailable."""
    if url.startswith(_SQLITE) and not await asyncio.to_thread(Path(url.removeprefix(_SQLITE)).is_file):
        raise UsageError("--bus", url, "no such file")  # nobody reads one that is made only now
    topic = Topics(bus.prefix).orders
    # Each in a message of its own, under its own key: the topic is compacted.
    publisher = open_publisher(url, bus.model_copy(update={"batch_lines": 1}), main=topic, stage="stop")
    try:
        async with asyncio.timeout(PATIENCE):
            await publisher.start()
            await publisher.publish([Output(topic, order.key, order.dump()) for order in orders])
    except TimeoutError:
        raise Unavailable(f"{url} has not taken the order in {PATIENCE:.0f} s") from None
    finally:
        await publisher.close()


async def standing_in(url: str, bus: BusSettings) -> tuple[Order, ...]:
    """What stands in the topic of a log. Raises HostError, Unavailable."""
    fold = Fold()
    async for chunk in look(url, Topics(bus.prefix).orders, bus):
        fold.take(chunk.lines)
    return fold.standing
