"""`longline completion bash|zsh|fish`: a script for the shell, made from the options themselves.

bash    source <(longline completion bash)
zsh     longline completion zsh > "${fpath[1]}/_longline"
fish    longline completion fish > ~/.config/fish/completions/longline.fish
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SHELLS: Final = ("bash", "zsh", "fish")

#: Names of values that are files or folders.
_FILES: Final = ("FILE", "FOLDER")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command."""

    flags: tuple[str, ...]
    help: str
    value: str | None  #: name of its value; None: it takes none
    choices: tuple[str, ...]

    @property
    def file(self) -> bool:
        return self.value is not None and any(word in self.value for word in _FILES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="which shell")


def run(args: argparse.Namespace) -> int:
    from stages.cli.main import COMMANDS

    commands = {name: options_of(name) for name in COMMANDS}
    script = {"bash": bash, "zsh": zsh, "fish": fish}[args.shell]
    sys.stdout.write("".join(f"{line}\n" for line in script(commands, COMMANDS)))
    return 0


def options_of(command: str) -> list[Option]:
    """The options that a command's parser has."""
    from stages.cli.main import parser_of

    module = importlib.import_module(f"stages.cli.{command}")
    if hasattr(module, "words_of_options"):  # of another program's manner
        return [Option(flags, text, value, ()) for flags, text, value in module.words_of_options()]
    parser = parser_of(command, module)
    return [_option(action) for action in parser._actions if action.option_strings]


def _option(action: argparse.Action) -> Option:
    takes = action.nargs != 0
    metavar = action.metavar if isinstance(action.metavar, str) else (action.dest or "").rpartition(".")[2].upper()
    choices = tuple(map(str, action.choices)) if action.choices is not None else _choices(action.dest)
    if not choices and metavar.startswith("{"):
        choices = tuple(metavar.strip("{}").split(","))
    help_text = (action.help or "").replace("%%", "%").partition(" (default")[0]
    return Option(tuple(action.option_strings), help_text, metavar if takes else None, choices)


def _choices(dest: str) -> tuple[str, ...]:
    """What the settings allow (`stages.core.options` names them `SECTION.[PREFIX.]FIELD`)."""
    from stages.cli.sections import SECTIONS

    kind, _, field = dest.partition(".")
    section = next((section for section in SECTIONS.values() if section.__name__ == kind), None)
    return () if section is None else section.option(field.rpartition(".")[2]).choices or ()


Commands = dict[str, list[Option]]


def bash(commands: Commands, helps: dict[str, str]) -> Iterator[str]:
    """complete -F: words by compgen, files where a value is one."""
    yield "# bash completion of longline: source <(longline completion bash)"
    yield "_longline() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" options='
    yield "    COMPREPLY=()"
    yield "    if ((COMP_CWORD == 1)); then"
    yield f'        COMPREPLY=($(compgen -W "{" ".join(helps)}" -- "$word")); return'
    yield "    fi"
    yield '    case "${COMP_WORDS[1]}:$before" in'
    for name, options in commands.items():
        for option in options:
            at = "|".join(f"{name}:{flag}" for flag in option.flags)
            if option.choices:
                yield f'        {at}) COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$word")); return ;;'
            elif option.file:
                yield f'        {at}) COMPREPLY=($(compgen -f -- "$word")); return ;;'
            elif option.value is not None:
                yield f"        {at}) return ;;"
    yield "    esac"
    yield '    case "${COMP_WORDS[1]}" in'
    for name, options in commands.items():
        flags = " ".join(flag for option in options for flag in option.flags)
        yield f'        {name}) options="{flags}" ;;'
    yield "    esac"
    yield '    if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word"))'
    yield '    else COMPREPLY=($(compgen -f -- "$word")); fi'
    yield "}"
    yield "complete -o filenames -F _longline longline"


def zsh(commands: Commands, helps: dict[str, str]) -> Iterator[str]:
    """_arguments: each option with its help."""
    yield "#compdef longline"
    yield "# zsh completion of longline: put it into a folder of $fpath as _longline"
    yield "local context state line curcontext=$curcontext"
    yield "_arguments -C '1:command:->command' '*::argument:->argument'"
    yield "case $state in"
    yield "    command)"
    yield "        local -a commands=("
    for name, text in helps.items():
        yield f"            '{name}:{_quoted(text)}'"
    yield "        )"
    yield "        _describe command commands ;;"
    yield "    argument)"
    yield "        case $words[1] in"
    for name, options in commands.items():
        yield f"            {name}) _arguments -s \\"
        for option in options:
            for flag in option.flags:
                yield f"                {_spec(flag, option)} \\"
        yield "                '*:argument:_files' ;;"
    yield "        esac ;;"
    yield "esac"


def _spec(flag: str, option: Option) -> str:
    repeat = "*"
    if option.value is None:
        return f"'{repeat}{flag}[{_bracketed(option.help)}]'"
    action = f"({' '.join(option.choices)})" if option.choices else "_files" if option.file else " "
    sign = "=" if flag.startswith("--") else "+"
    return f"'{repeat}{flag}{sign}[{_bracketed(option.help)}]:{_bracketed(option.value)}:{action}'"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "'\\''").replace(":", "\\:")


def _bracketed(text: str) -> str:
    for special in ("[", "]"):
        text = text.replace(special, f"\\{special}")
    return _quoted(text)


def fish(commands: Commands, helps: dict[str, str]) -> Iterator[str]:
    """complete -c: a line an option."""
    yield "# fish completion of longline: ~/.config/fish/completions/longline.fish"
    yield "complete -c longline -f"
    for name, text in helps.items():
        yield f"complete -c longline -n __fish_use_subcommand -a {name} -d '{_fish(text)}'"
    for name, options in commands.items():
        for option in options:
            words = [
                f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags if flag != "--"
            ]
            if option.choices:
                words.append(f"-x -a '{' '.join(option.choices)}'")
            elif option.value is not None:
                words.append("-r -F" if option.file else "-x")
            seen = f"-n '__fish_seen_subcommand_from {name}'"
            yield f"complete -c longline {seen} {' '.join(words)} -d '{_fish(option.help)}'"


def _fish(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
