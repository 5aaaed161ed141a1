"""The notice that operators begin with: everything that may be said is in it, and what it becomes says it."""

from __future__ import annotations

import datetime as dt

import pytest

from deploy.monitoring.__main__ import DEPLOY
from stages.fleet import notice_pages
from stages.fleet.notice import Link, Notice, Source, read

FILE = DEPLOY / "notice/notice.toml"


def test_every_key_is_shown() -> None:
    found = read(FILE.read_text(), FILE.name)
    assert found.model_fields_set == set(Notice.model_fields)
    assert {key for source in found.sources for key in source.model_fields_set} == set(Source.model_fields)
    assert {key for link in found.links for key in link.model_fields_set} == set(Link.model_fields)


@pytest.mark.parametrize("path", ["/", "/notice.txt", "/addresses.txt", "/.well-known/security.txt"])
def test_what_it_becomes_names_its_addresses(path: str) -> None:
    found = read(FILE.read_text(), FILE.name)
    _, text = notice_pages.files(found, dt.datetime.now(dt.UTC), form=True)[path]
    wanted = [found.url, found.contact] if "security" in path else found.addresses
    assert [words for words in wanted if words not in text] == []
