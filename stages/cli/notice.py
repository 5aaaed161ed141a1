"""`longline notice`: the page that tells those who were scanned who, why, and how to be left alone."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import HostError, UsageError

if TYPE_CHECKING:
    from stages.fleet.notice import Notice
    from stages.fleet.settings import NoticeSettings

SECTIONS = ("notice", "metrics")

ACTIONS: Final = {
    "serve": "serve the page of FILE",
    "render": "write it into --out, for any web server",
    "check": "read FILE, and say what is wrong with it",
    "invite": "a one-time link to the form for NAME",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=what)
    parser.add_argument("what", metavar="FILE|NAME", nargs="?", help="FILE as --notice")
    parser.add_argument("--out", metavar="DIR", help="render: where to")
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    from stages.fleet.settings import NoticeSettings

    loaded = load_settings(args, *SECTIONS)
    settings = loaded.get("notice", NoticeSettings)
    if args.action == "invite":
        return _invite(settings, args.what)
    if args.what is not None:
        loaded = loaded.changed("notice", file=args.what)
        settings = loaded.get("notice", NoticeSettings)
    if (args.action == "render") == (args.out is None):
        raise UsageError("--out", args.out, "where to" if args.out is None else "is for render")
    notice = read_notice(settings.file)
    if args.action == "render":
        return _render(notice, args.out)
    if args.action == "serve":
        from stages.cli.notice_serving import serve

        return serve(loaded, settings, notice)
    sys.stderr.write(f"longline notice: {settings.file}: {len(notice.addresses)} sources, as it should be\n")
    return 0


def read_notice(file: str) -> Notice:
    """What a file says. Raises UsageError."""
    from stages.fleet.notice import MAX_BYTES, read

    try:
        with open(file, "rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError("--notice", file, "too large for a notice")
        return read(data.decode(), file)
    except OSError as error:
        raise UsageError("--notice", file, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise UsageError("--notice", file, f"not a text in UTF-8: byte {error.start}") from None


def _render(notice: Notice, out: str) -> int:
    import datetime as dt
    from pathlib import Path

    from stages.core import files
    from stages.fleet import notice_pages

    for path, (_, text) in notice_pages.files(notice, dt.datetime.now(dt.UTC), form=False).items():
        file = Path(out, path.removeprefix("/") or "index.html")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            files.replace(file, text.encode(), files.SHARED)
        except OSError as error:
            raise HostError(f"{file} cannot be written: {error.strerror}") from None
        sys.stdout.write(f"{file}\n")
    return 0


def _invite(settings: NoticeSettings, name: str | None) -> int:
    from contextlib import closing

    from stages.fleet.ca import ALIAS
    from stages.fleet.desk import SqliteDesk
    from stages.fleet.notice_site import INVITE, hash_of

    if name is None or ALIAS(name) is None:
        raise UsageError("NAME", name, "who: letters, digits, . _ -, at most 63")
    notice = read_notice(settings.file)
    secret = fresh()
    with closing(SqliteDesk(settings.requests)) as desk:
        desk.invite(hash_of(secret), name, time.time())
    sys.stdout.write(f"{notice.url.removesuffix('/')}{INVITE}{secret}\n")
    return 0


def fresh() -> str:
    """A new secret."""
    import secrets
    from base64 import b32encode

    from stages.fleet.ca import TOKEN_BYTES

    return b32encode(secrets.token_bytes(TOKEN_BYTES)).decode()
