"""The `longline` command: finds the command's module, and turns errors into one line and an exit code.

A command's module is imported only when that command was typed, so that `--help` stays quick. Each offers
`add_arguments(parser)` and `run(args) -> exit code`.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final, NoReturn

from stages import __version__
from stages.cli.streams import standard
from stages.core.errors import LonglineError

#: command -> what it does. Its module is `stages.cli.<command>`.
COMMANDS: Final = {
    "scan": "probe every target once; hits out",
    "masscan": "masscan's command line",
    "iterate": "the targets of a scan in its order, and nothing sent",
    "blocklist": "addresses in, those that the lists allow out, each once",
    "tee": "keep a scan's rows in a file, pass its addresses on as fast as they are read",
    "bannergrab": "one conversation per hit; banners out",
    "tlsgrab": "one TLS handshake per hit; certificates out",
    "sink": "store everything, once",
    "run": "scan, grab and store in one process over one SQLite file",
    "demo": "the whole pipeline against a simulated Internet, compared with the truth",
    "coordinator": "give slices of scans to agents, and write what they find to a log",
    "agent": "scan slices for coordinators",
    "campaign": "measurements that never end: run, pause, look at them; and scans for the fleet",
    "stop": "the emergency stop, for everything that sends; orders stand until they are lifted",
    "optout": "who wants to be left alone: a list with its reasons, for everything that sends",
    "notice": "the page that tells those who were scanned who, why, and how to be left alone",
    "fleet": "the fleet's certificates, and what its agents do now",
    "simnet": "run a command inside a simulated Internet",
    "query": "look at what is stored",
    "diff": "services that are new, gone or changed between two scans",
    "audit": "who scanned a network: what, when, from where, under which approval",
    "export": "write what is stored as JSON Lines or CSV",
    "dataset": "what is stored as files with a manifest, checksums and types; and such files checked",
    "doctor": "whether this host, the log and the store are fit for the work, and the mend",
    "health": "whether a stage of this host is ready",
    "topics": "the topics on Kafka as they should be: what differs, and making it so",
    "dead": "what no stage could process: counted, shown, and mended lines put back",
    "erase": "remove what was seen at the addresses of a network, and keep a record of it",
    "certs": "certificates in and out; read and judge the stored ones again",
    "rules": "rule files checked, and run on what is stored",
    "completion": "what bash, zsh or fish need to complete this command",
    "config": "print the settings in force, and where each came from",
}

#: Exit code of a shell convention: bad usage.
EXIT_USAGE: Final = 2


#: How argparse begins what it says of words that it has no use for.
UNRECOGNIZED: Final = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """argparse, with the nearest known option named when one is unknown."""

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Targets may stand between the options too, as getopt(3) has it: `10.0.0.0/24 -p 80 10.0.2.0/24`."""
        known, more = self.parse_known_args(words)
        if not more:
            return known
        if not any(word.startswith("-") for word in more):
            return self.parse_intermixed_args(words)
        self.error(f"{UNRECOGNIZED}{' '.join(more)}")

    def error(self, message: str) -> NoReturn:
        if message.startswith(UNRECOGNIZED):
            words = message.removeprefix(UNRECOGNIZED).split()
            typed = next((word for word in words if word.startswith("-")), words[0])
            known = [flag for action in self._actions for flag in action.option_strings]
            near = difflib.get_close_matches(typed.partition("=")[0], known, n=1, cutoff=0.5)
            what = "unknown option" if typed.startswith("-") else "nothing to do with"
            message = f"{what} {typed!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        sys.stderr.write(f"{self.prog}: {message}\n")
        raise SystemExit(EXIT_USAGE)


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [
        "usage: longline COMMAND [OPTION ...]",
        "",
        "A continuous Internet-measurement pipeline: scan -> grab -> store.",
        "",
        *(f"  {name:{width}}  {text}" for name, text in COMMANDS.items()),
        "",
        "longline COMMAND --help tells the options of a command; longline --version the version.",
    ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 bad input, 128 + n stopped by signal n."""
    words = list(sys.argv[1:] if argv is None else argv)
    called = f"longline {words[0]}" if words and words[0] in COMMANDS else "longline"
    try:
        with standard():
            return command(words)
    except LonglineError as error:
        if not error.quiet:
            sys.stderr.write(f"{called}: {error}\n")
        return error.exit_code


def command(words: Sequence[str]) -> int:
    """The command that `words` name. Raises LonglineError, and SystemExit when argparse has said all."""
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0 if words else EXIT_USAGE
    if words[0] in ("-V", "--version"):
        sys.stdout.write(f"longline {__version__}\n")
        return 0
    name = words[0]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        sys.stderr.write(f"longline: unknown command {name!r}" + (f"; did you mean {near[0]!r}?\n" if near else "\n"))
        return EXIT_USAGE
    module = importlib.import_module(f"stages.cli.{name}")
    if hasattr(module, "run_words"):  # a command line of another program's manner
        return int(module.run_words(words[1:]))
    return int(module.run(parser_of(name, module).parse(words[1:])))


def parser_of(name: str, module: ModuleType) -> Parser:
    """The parser of the command called `name`, whose module is `module`."""
    parser = Parser(prog=f"longline {name}", description=COMMANDS[name], allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=f"longline {__version__}")
    module.add_arguments(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
