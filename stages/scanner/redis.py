"""Results to a Redis server. The only file that knows its client, which is an extra (`pip install longline[redis]`).

Each batch is one RPUSH, or a pipeline of PUBLISH, acknowledged before the next one: what a checkpoint counts as
written is in the server's memory (how durable that is, its own configuration says). A lost connection is made again and
the batch sent again: an element may then be there twice, none is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from typing import Any, Final

from stages.core.errors import Confined, HostError, MissingCapability
from stages.core.resolving import by_hosts_file
from stages.core.section import masked
from stages.net import confine
from stages.scanner.outputs.redis import Place, Redis
from stages.scanner.rows import Answer

try:
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import ExponentialBackoff
    from redis.exceptions import RedisError
except ImportError as _error:  # an extra: said when it is asked for
    _missing: str | None = _error.name
else:
    _missing = None

log = logging.getLogger("longline.scanner.redis")

#: Seconds for one command: pushing a batch takes milliseconds.
TIMEOUT: Final = 10.0

#: Tries of a command, 0.1 s to 5 s apart: about half a minute, in which a server starts again.
TRIES: Final = 10
FIRST_BACKOFF: Final = 0.1
MAX_BACKOFF: Final = 5.0


class RedisDestination:
    """An output module on a server."""

    pipe: Final = False  #: nobody reads along as it is written

    def __init__(self, module: Redis) -> None:
        """Connects to nothing yet. Raises MissingCapability without the client, Confined."""
        if _missing is not None:
            raise MissingCapability(
                f"the library {_missing}", "-O redis", "pip install 'longline[redis]', or write to a pipe"
            )
        self._module = module
        self._place: Place = module.place
        _check(self._place.host)
        self._client: Any = redis.asyncio.Redis.from_url(
            self._place.url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(ExponentialBackoff(cap=MAX_BACKOFF, base=FIRST_BACKOFF), TRIES),
        )

    async def begin(self, *, append: bool) -> None:
        """See whether the server answers; what the list holds stays. Raises HostError."""
        del append
        await self._patient(self._client.ping())

    async def write(self, answers: Sequence[Answer]) -> None:
        elements = self._module.elements(answers)
        if not elements:
            return
        if not self._place.publish:
            await self._patient(self._client.rpush(self._place.name, *elements))
            return
        pipeline = self._client.pipeline(transaction=False)
        for element in elements:
            pipeline.publish(self._place.name, element)
        await self._patient(pipeline.execute())

    async def settle(self) -> None:
        """Written is acknowledged."""

    async def close(self) -> None:
        await self._client.aclose()

    async def _patient(self, command: Awaitable[Any]) -> None:
        try:
            await command
        except (RedisError, OSError) as error:
            raise HostError(f"results cannot be written to {masked(self._place.url)}: {error}") from None


def _check(host: str | None) -> None:
    """Names mean what hosts(5) says, as a question to a name server would leave this host too."""
    if host is None or not confine.confined():
        return
    try:
        addresses = tuple(by_hosts_file(host))
    except OSError:
        addresses = (host,)
    for address in addresses:
        try:
            confine.check_address(address)
        except confine.ConfinedError as error:
            raise Confined(str(error.strerror)) from None
