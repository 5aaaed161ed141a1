"""`Simnet`: build a simulated Internet, run programs in it, take it away again.

    with Simnet(Spec(seed=7)) as net:
        scan = net.run(["longline", "scan", "-p", "80", "10.0.0.0/16"], stdout=subprocess.PIPE)
        ...
        difference = compare(net.expected(), found)

Programs run in the near namespace with LONGLINE_CONFINE=1; servers of one's own can be put into the far one. When the
`with` block or this process ends, in whatever way, all of them end too.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from stages.net import confine
from stages.simnet import namespaces, wiring
from stages.simnet.expectation import Client, Expected, expected
from stages.simnet.responder_spec import Responder, request
from stages.simnet.spec import Mode, Spec

if TYPE_CHECKING:
    from stages.simnet.responder_truth import ResponderTruth

#: Building takes about a second; a machine that is busy may take many times that.
START_SECONDS: Final = 60.0

#: After its standard input closed the warden needs milliseconds; then it is killed.
CLOSE_SECONDS: Final = 10.0

#: Where system programs (nft, sshd) are, in case an ordinary user's PATH leaves them out.
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"

Side = Literal["near", "far"]


class SimnetError(OSError):
    """The simulated Internet could not be built, or is gone."""


class NamespacesClosed(SimnetError):
    """This user gets no namespaces on this machine; `Spec.on_loopback` needs none."""


class Simnet:
    """One simulated Internet. Not thread safe."""

    def __init__(self, spec: Spec | None = None) -> None:
        self.spec = spec or Spec()
        self.truth = self.spec.truth()
        self.chains: tuple[tuple[str, ...], ...] = ()  #: SHA-256 of the certificates of each identity (`sorts.PLAN`)
        self.root = b""  #: DER of the certificate authority
        self.responder_chains: tuple[tuple[bytes, ...], ...] = ()  #: DER, leaf first, of its TLS servers
        self._flights: tuple[bytes, ...] = ()  # what they say
        self.near_pid = 0
        self.far_pid = 0
        self._warden: subprocess.Popen[bytes] | None = None
        self._namespaces: dict[Side, list[tuple[int, int]]] = {}  # descriptors to enter, in order
        self._programs: list[subprocess.Popen[Any]] = []
        self._responder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self if self._warden is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Build it. Returns when every server answers. Raises NamespacesClosed or SimnetError."""
        if self._warden is not None:
            raise SimnetError("already started")
        self._warden = subprocess.Popen(
            [sys.executable, "-m", "stages.simnet.processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # ^C is for the caller, which then closes
        )
        try:
            report = self._report()
            self.near_pid, self.far_pid = report["near"], report["far"]
            self.chains = tuple(tuple(chain) for chain in report["chains"])
            self.root = base64.b64decode(report["root"])
            if self.spec.mode is Mode.NAMESPACES:
                self._hold("near", self.near_pid, user=report["user"])
                self._hold("far", self.far_pid, user=report["user"])
            if self.spec.responder is not None:
                self._respond(self.spec.responder)
        except BaseException:
            self.close()
            raise
        return self

    def _report(self) -> dict[str, Any]:
        assert self._warden is not None
        assert self._warden.stdin is not None
        assert self._warden.stdout is not None
        with suppress(BrokenPipeError):  # why it ended stands on its other side
            self._warden.stdin.write(self.spec.dump().encode() + b"\n")
            self._warden.stdin.flush()
        ready, _, _ = select.select([self._warden.stdout], [], [], START_SECONDS)
        if not ready:
            raise SimnetError(f"the simulated Internet is not there after {START_SECONDS:.0f} s")
        line = self._warden.stdout.readline()
        if not line:
            raise SimnetError("the simulated Internet ended while it was built")
        report: dict[str, Any] = json.loads(line)
        if "error" in report:
            raise (NamespacesClosed if report["closed"] else SimnetError)(report["error"])
        return report

    def _respond(self, asked: Responder) -> None:
        argv = [sys.executable, "-m", "stages.simnet.responder"]
        self._responder = self.far_run(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if asked.says.get("tls"):
            from stages.simnet.responder_flights import chains, flights

            self.responder_chains = chains(datetime.now(UTC))
            self._flights = flights(self.responder_chains)
        line = request(self.spec.seed, asked, wiring.FAR_LINK, wiring.RESPONDER_MAC, self._flights)
        answer = self._ask_responder(line)
        if "error" in answer:
            raise SimnetError(answer["error"])

    def _ask_responder(self, line: bytes) -> dict[str, Any]:
        if self._responder is None:
            raise SimnetError("there is no responder")
        assert self._responder.stdin is not None
        assert self._responder.stdout is not None
        with suppress(BrokenPipeError):
            self._responder.stdin.write(line)
            self._responder.stdin.flush()
        ready, _, _ = select.select([self._responder.stdout], [], [], START_SECONDS)
        said = self._responder.stdout.readline() if ready else b""
        if not said:
            raise SimnetError("the responder has ended" if ready else f"no word of it for {START_SECONDS:.0f} s")
        answer: dict[str, Any] = json.loads(said)
        return answer

    def responder_counters(self) -> dict[str, int]:
        """What the responder has seen and said so far (`responder.Loop.counters`). Raises SimnetError without one."""
        return self._ask_responder(b"\n")

    def responder_truth(self) -> ResponderTruth:
        """What stands at its prefixes. Raises SimnetError without one."""
        from stages.simnet.responder_truth import ResponderTruth

        if self.spec.responder is None:
            raise SimnetError("there is no responder")
        return ResponderTruth(self.spec.seed, self.spec.responder, self._flights)

    def _hold(self, side: Side, pid: int, *, user: bool) -> None:
        kinds = [("user", namespaces.CLONE_NEWUSER)] * user + [("net", namespaces.CLONE_NEWNET)]
        descriptors = self._namespaces.setdefault(side, [])
        for name, kind in kinds:
            descriptors.append((os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), kind))

    @property
    def alive(self) -> bool:
        return self._warden is not None and self._warden.poll() is None

    def joiner(self, side: Side = "near") -> Callable[[], None]:
        """What a new child process calls to enter: `subprocess.Popen(..., preexec_fn=net.joiner())`."""
        held = self._namespaces.get(side, [])

        def join() -> None:
            for descriptor, kind in held:
                namespaces.setns(descriptor, kind)

        return join

    def run(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[Any]:
        """Start a program in the near namespace; `how` as for Popen. It is killed when this network ends."""
        return self._start("near", argv, how)

    def far_run(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[Any]:
        """Start a program, a server of one's own, in the far namespace."""
        return self._start("far", argv, how)

    def _start(self, side: Side, argv: Sequence[str], how: Mapping[str, Any]) -> subprocess.Popen[Any]:
        if not self.alive:
            raise SimnetError("the simulated Internet is not running")
        how = dict(how)
        how["env"] = _environment(how.get("env"))
        if self.spec.mode is Mode.NAMESPACES:
            how["preexec_fn"] = self.joiner(side)
        program: subprocess.Popen[Any] = subprocess.Popen(list(argv), **how)
        self._programs.append(program)
        assert self._warden is not None
        assert self._warden.stdin is not None
        self._warden.stdin.write(b"%d\n" % program.pid)
        self._warden.stdin.flush()
        return program

    def enter(self, side: Side = "near") -> None:
        """Move this thread into a namespace, for good. In a user namespace the process must have one thread."""
        self.joiner(side)()
        confine.forget()

    @contextmanager
    def inside(self, side: Side = "near") -> Iterator[None]:
        """This thread in a namespace for the time of the block; sockets made there stay there. Needs CAP_SYS_ADMIN."""
        home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.enter(side)
            try:
                yield
            finally:
                namespaces.setns(home, namespaces.CLONE_NEWNET)
                confine.forget()
        finally:
            os.close(home)

    def expected(self, client: Client | None = None) -> Iterator[Expected]:
        """What a complete measurement must find."""
        return expected(self.truth, self.chains, client)

    def hold(self) -> None:
        """Wait until this network ends by itself or ^C."""
        assert self._warden is not None
        with suppress(KeyboardInterrupt):
            self._warden.wait()

    def close(self) -> None:
        """End everything in it, and it. May be called again."""
        warden, self._warden = self._warden, None
        if warden is not None:
            assert warden.stdin is not None
            assert warden.stdout is not None
            with suppress(BrokenPipeError):
                warden.stdin.close()
            try:
                warden.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                warden.kill()
                warden.wait()
            warden.stdout.close()
        for program in self._programs:
            program.kill()  # the warden has done it, unless somebody has killed the warden
            program.wait()
        self._programs.clear()
        if self._responder is not None:
            for pipe in (self._responder.stdin, self._responder.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()
            self._responder = None
        for descriptor, _ in (held for side in self._namespaces.values() for held in side):
            os.close(descriptor)
        self._namespaces.clear()


def _environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    environment = dict(os.environ if given is None else given)
    environment[confine.VARIABLE] = "1"
    path = environment.get("PATH", os.defpath)
    missing = [p for p in _SYSTEM_PATH.split(":") if p not in path.split(":")]
    environment["PATH"] = ":".join([path, *missing])
    return environment


def shell(net: Simnet, argv: Sequence[str] = ()) -> int:
    """Run a program, by default the user's shell, in the near namespace; its exit status, as a shell would give it."""
    program = net.run(list(argv) or [os.environ.get("SHELL", "/bin/sh")])
    while True:
        try:
            status = program.wait()
        except KeyboardInterrupt:
            continue  # it was for the program too, which stands in the same terminal
        return status if status >= 0 else 128 - status
