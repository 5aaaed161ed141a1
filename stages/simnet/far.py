"""The far process: builds the far namespace, then serves in it until it is killed.

It is forked by the warden (`processes`) before anything heavy is loaded, and tells the warden what it has done by lines
of JSON: first that its namespace stands, so that the link can be put into it; then, when everything answers, the hashes
of the certificates that it made.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import signal
import sys
from datetime import UTC, datetime
from typing import Any, NoReturn

from stages.simnet import namespaces
from stages.simnet.spec import MAX_LISTENERS, Mode, Spec
from stages.simnet.truth import Truth


def live(line: bytes, warden: int, report: int, wait: int) -> NoReturn:
    """All of it; `line` is the spec. Never returns: the warden's stack is below."""
    try:
        spec = Spec.parse(line)
        truth = spec.truth()
        if spec.mode is Mode.NAMESPACES:
            _build(spec, truth, warden, report, wait)
        else:
            namespaces.die_with(warden)
        _serve(spec, truth, report)
    except (OSError, ValueError) as error:
        closed = isinstance(error, namespaces.NamespaceError)
        _say(report, {"error": str(getattr(error, "strerror", None) or error), "closed": closed})
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _say(report: int, message: dict[str, Any]) -> None:
    os.write(report, json.dumps(message).encode() + b"\n")


def _build(spec: Spec, truth: Truth, warden: int, report: int, wait: int) -> None:
    """Namespace, marker; then link, routes and rules."""
    from stages.simnet import nft, wiring

    namespaces.new_network()
    namespaces.die_with(warden)
    wiring.mark()
    _say(report, {})
    rules = nft.rules(truth, wiring.FAR_LINK) if spec.rules else []
    os.read(wait, 1)
    wiring.far(spec.local)
    for transaction in rules:
        nft.load(transaction)


def _serve(spec: Spec, truth: Truth, report: int) -> None:
    """Make the certificates, bind, fork the other workers, report, serve."""
    from stages.simnet import certificates, servers, tlsanswers

    if not spec.servers:
        _say(report, {"chains": [], "root": ""})
        _wait_for_the_end()
    identities, root = certificates.make(datetime.now(UTC))
    contexts = tlsanswers.Contexts(identities)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    shared = spec.workers > 1
    places = list(_places(spec, truth))
    listeners = servers.listen(places, shared=shared)
    parent = os.getpid()
    for _ in range(spec.workers - 1):
        if os.fork() == 0:
            namespaces.die_with(parent)
            for sock in listeners:
                sock.close()
            listeners = servers.listen(places, shared=shared)
            report = -1
            break

    async def run() -> None:
        running = await servers.serve(listeners, truth, contexts)
        if report >= 0:
            chains = [identity.hashes for identity in identities]
            _say(report, {"chains": chains, "root": base64.b64encode(root).decode()})
        await asyncio.gather(*(server.serve_forever() for server in running))

    with _runner() as runner:
        runner.run(run())


def _places(spec: Spec, truth: Truth) -> list[tuple[str, int]]:
    """Where to listen: everywhere on each port where a filter decides; on loopback only where something is open.

    Raises ValueError when loopback would take too many sockets.
    """
    if spec.mode is Mode.NAMESPACES:
        return [("0.0.0.0", port) for port in spec.ports]
    places = [(ip, port) for ip, port, _ in truth.services()]
    if len(places) > MAX_LISTENERS:
        raise ValueError(f"{len(places)} open services on loopback, at most {MAX_LISTENERS}: take fewer targets")
    return places


def _runner() -> asyncio.Runner:
    """uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _wait_for_the_end() -> NoReturn:
    while True:
        signal.pause()
