"""`longline simnet`: a command, or a shell, inside a simulated Internet."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.simnet.responder_spec import Responder
    from stages.simnet.spec import Spec

#: Exit codes of a command that could not be started, as a shell has them.
EXIT_NOT_FOUND = 127
EXIT_NOT_EXECUTABLE = 126


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="of the simulated Internet (default: 1)")
    parser.add_argument("--targets", default="10.0.0.0/16", metavar="CIDRS", help="networks that services stand in")
    parser.add_argument("--ports", default="22,80,443", metavar="PORTS", help="ports that services stand on")
    parser.add_argument("--open", type=float, default=0.05, metavar="SHARE", help="share of targets that are open")
    parser.add_argument("--no-rules", dest="rules", action="store_false", help="no filter: every address answers alike")
    parser.add_argument(
        "--responder", metavar="CIDRS", help="networks that are answered for at wire speed, without servers behind them"
    )
    parser.add_argument(
        "--reactions", metavar="LIST", help="what the responder does, as reaction=share,...; docs/simnet.md names them"
    )
    parser.add_argument(
        "--delays", default="0.6", metavar="SECONDS", help="of its delayed answers, a comma list (default: 0.6)"
    )
    parser.add_argument(
        "--loss", type=float, default=0.0, metavar="SHARE", help="share of all probes that never reach it"
    )
    parser.add_argument(
        "--says", metavar="LIST", help="what its connections hear, as http=share,...; docs/simnet.md names them"
    )
    parser.add_argument(
        "--loss-back", type=float, default=0.0, metavar="SHARE", help="share of its TCP answers that are lost"
    )
    parser.add_argument(
        "--truth", action="store_true", help="print what stands where as `ip,port,kind` lines, and build nothing"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run there; default: your shell")


def _networks(text: str) -> tuple[str, ...]:
    from ipaddress import IPv4Network

    from stages.core.errors import UsageError

    for part in text.split(","):
        try:
            IPv4Network(part)
        except ValueError as error:
            raise UsageError("--targets", part, str(error)) from None
    return tuple(text.split(","))


def _responder(args: argparse.Namespace) -> Responder | None:
    """Raises UsageError, ValueError."""
    from stages.core.errors import UsageError
    from stages.simnet.responder_spec import DEFAULT_SHARES, Responder, parse_shares

    if args.responder is None:
        for flag, given in (("--reactions", args.reactions), ("--says", args.says)):
            if given is not None:
                raise UsageError(flag, given, "there is no --responder")
        return None
    try:
        shares = dict(DEFAULT_SHARES) if args.reactions is None else parse_shares(args.reactions)
    except ValueError as error:
        raise UsageError("--reactions", args.reactions, str(error)) from None
    try:
        delays = tuple(float(part) for part in args.delays.split(","))
    except ValueError:
        raise UsageError("--delays", args.delays, "not a list of numbers") from None
    try:
        says = {} if args.says is None else parse_shares(args.says)
    except ValueError as error:
        raise UsageError("--says", args.says, str(error)) from None
    return Responder(tuple(args.responder.split(",")), shares, delays, args.loss, says=says, back=args.loss_back)


def _print_truth(spec: Spec) -> None:
    for ip, port, kind in spec.truth().services():
        sys.stdout.write(f"{ip},{port},{kind.name.lower()}\n")
    if spec.responder is None:
        return
    from ipaddress import IPv4Address

    from stages.simnet.responder_spec import Reaction, Says
    from stages.simnet.responder_truth import ResponderTruth

    # Certificates are made when the network is: here only who shows one is known.
    truth = ResponderTruth(spec.seed, spec.responder, (b"",) if spec.responder.says.get("tls") else ())
    addresses = truth.addresses()
    for port in spec.ports:
        kinds, says = truth.reactions(addresses, port).tolist(), truth.says(addresses, port).tolist()
        for address, kind, hears in zip(addresses.tolist(), kinds, says, strict=True):
            if kind != Reaction.SILENCE:
                more = f",{Says(hears).name.lower()}" if spec.responder.says else ""
                sys.stdout.write(f"{IPv4Address(address)},{port},{Reaction(kind).name.lower()}{more}\n")


def run(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from stages.core.errors import HostError, UsageError
    from stages.core.routing import parse_ports
    from stages.simnet.network import Simnet, SimnetError, shell
    from stages.simnet.spec import Spec

    try:
        spec = Spec(seed=args.seed)
        spec = replace(
            spec,
            targets=_networks(args.targets),
            ports=tuple(sorted(parse_ports(args.ports, "--ports"))),
            shares=replace(spec.shares, open=args.open),
            rules=args.rules,
            responder=_responder(args),
        )
        spec.truth()
    except ValueError as error:
        raise UsageError("the network", None, str(error)) from None
    if args.truth:
        _print_truth(spec)
        return 0
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    try:
        with Simnet(spec) as net:
            try:
                return shell(net, words)
            except (FileNotFoundError, PermissionError) as error:  # of starting it, as a shell would say it
                sys.stderr.write(f"longline simnet: {words[0] if words else 'the shell'}: {error.strerror}\n")
                return EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE
    except SimnetError as error:
        raise HostError(str(error)) from error
