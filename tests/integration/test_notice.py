"""The notice page in a real browser, from the file that users begin with: seen, read on a phone, the form filled and
sent, and what was asked for decided by the operator; and on the real ports, as those see it who were scanned."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from stages.simnet.network import Simnet
from stages.simnet.spec import Spec
from stages.simnet.wiring import NEAR_ADDRESS
from tests.cli.command import argv, longline
from tests.fleet.notices import TEXT
from tests.require import require
from tests.servers.browser import Browser, browser
from tests.servers.nameserver import Table, answer, nameserver
from tests.servers.notice import NOTICE, Served, served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as made:
        yield made


def requests(folder: Path) -> list[dict[str, Any]]:
    ran = longline("optout", "requests", "--json", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_the_page_is_seen(window: Browser, site: Served) -> None:
    for url in (f"http://127.0.0.1:{site.http}/", f"https://127.0.0.1:{site.https}/"):
        window.go(url)
        assert window.title == "Internet measurement by Example University, Network Measurement Group"
        words = window.text()
        for said in ("scan@measurement.example", "192.0.2.10", "2001:db8:10::/64", "left alone", "case 2026-17"):
            assert said in words
        assert window.run("return document.documentElement.lang") == "en"
        assert window.run("return document.scripts.length") == 0
        levels = window.run("return [...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)")
        assert levels[0] == "H1"
        assert set(levels[1:]) == {"H2"}
        assert window.run("return performance.getEntriesByType('resource').length") == 0
        assert window.complaints() == []


def test_a_program_sees_it_too(site: Served, tmp_path: Path) -> None:
    """`--dump-dom` of the browser: the page needs no script."""
    require(shutil.which("chromium"), "needs chromium")
    words = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    ran = subprocess.run(
        [*words, "--no-proxy-server", "--disable-background-networking", "--dump-dom",
         f"http://127.0.0.1:{site.http}/"], capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "<title>Internet measurement by Example University" in ran.stdout
    assert 'href="mailto:scan@measurement.example"' in ran.stdout


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_read_on_a_phone_by_day_and_night(window: Browser, site: Served, scheme: str) -> None:
    window.size(320, 640)
    window.scheme(scheme)
    window.go(f"http://127.0.0.1:{site.http}/")
    assert window.run("return innerWidth") == 320
    assert window.run("return document.documentElement.scrollWidth") <= 320
    wide = "return [...document.querySelectorAll('body *')].filter(e => e.scrollWidth > innerWidth).length"
    assert window.run(wide) == 0
    for selector in ("p", "a", "code", ".call"):
        assert contrast(window, selector) >= 7


def contrast(window: Browser, selector: str) -> float:
    """Of an element's text to what is behind it (WCAG 2.2, contrast ratio)."""
    script = f"""
        let e = document.querySelector({json.dumps(selector)}), ink = getComputedStyle(e).color, paper;
        do {{ paper = getComputedStyle(e).backgroundColor; e = e.parentElement; }} while (e && /, 0\\)/.test(paper));
        return [ink, paper]"""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    ink, paper = sorted(map(luminance, window.run(script)), reverse=True)
    return (ink + 0.05) / (paper + 0.05)


def test_the_form_is_filled_and_sent_and_decided(window: Browser, site: Served, tmp_path: Path) -> None:
    assert longline("optout", "add", "9.9.8.0/24", cwd=tmp_path).returncode == 0
    home = f"https://127.0.0.1:{site.https}"
    window.forget() if window.url.startswith("http") else None
    window.go(f"{home}/optout")
    assert window.title == "Not signed in"
    window.complaints()  # the 403 stands in the console

    link = site.invite("alice")
    window.go(home + link)
    window.go(home + link)  # looking does not spend it
    assert "alice" in window.text()
    window.press("button")
    assert window.url == f"{home}/optout"
    assert window.title == "Opt-out form"
    [cookie] = window.cookies()
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
    assert window.run("return document.cookie") == ""

    window.type("#networks", "10.0.0.0/8")
    window.type("#reason", 'a <b>hospital</b> & its "devices"')
    window.type("#contact", "noc@net.example")
    window.press("#request button")
    assert "never scanned" in window.text("#problems")
    assert "10.0.0.0/8" in window.run("return document.querySelector('#networks').value")
    assert window.run("return document.querySelector('#networks').getAttribute('aria-invalid')") == "true"
    assert [line for line in window.complaints() if "422" not in line] == []
    assert requests(tmp_path) == []

    window.run("document.querySelector('#networks').value = ''")
    window.type("#networks", "8.8.8.0/24\n9.9.0.0/15 9.9.8.7")
    window.press("#request button")
    assert window.text("#number") == "Your request has the number 1 and waits for review:"
    assert "9.9.8.7" in window.text("#already ~ ul")
    assert window.complaints() == []
    [row] = requests(tmp_path)
    assert row["networks"] == ["8.8.8.0/24", "9.8.0.0/15"]
    assert row["wide"] == ["9.8.0.0/15"]
    assert row["reason"] == 'a <b>hospital</b> & its "devices"'
    assert (row["account"], row["contact"], row["state"]) == ("alice", "noc@net.example", "waiting")
    assert "8.8.8.0" not in (tmp_path / "optout.txt").read_text()

    assert longline("optout", "accept", "1", cwd=tmp_path).returncode == 0
    window.go(f"{home}/optout")
    assert "accepted: left alone" in window.text("#requests")
    window.type("#networks", "8.8.8.0/25")
    window.type("#contact", "noc@net.example")
    window.press("#request button")
    assert window.title == "Nothing needs to be done"
    assert len(requests(tmp_path)) == 1

    window.go(f"{home}/optout")
    window.press("#leave button")
    assert window.url == f"{home}/"
    assert window.cookies() == []
    window.go(home + link)
    assert window.title == "No such link"


def test_what_another_site_sends_is_not_taken(window: Browser, site: Served, tmp_path: Path) -> None:
    """A page on another origin posts our form with the visitor's browser: no cookie goes with it, nothing is made."""
    home = f"https://127.0.0.1:{site.https}"
    window.go(home + site.invite("bob"))
    window.press("button")
    form = (
        f"<form method=post action='{home}/optout'><input name=networks value='8.8.8.0/24'>"
        "<input name=contact value='a@b.example'><button>x</button></form>"
    )
    (tmp_path / "evil.html").write_text(form)
    window.go((tmp_path / "evil.html").as_uri())
    window.press("button")
    assert window.url == f"{home}/optout"
    assert window.title == "Not from here"
    assert requests(tmp_path) == []


def test_the_rendered_files_are_the_page(window: Browser, tmp_path: Path) -> None:
    assert longline("notice", "render", NOTICE, "--out", "www", cwd=tmp_path).returncode == 0
    window.complaints()
    window.go((tmp_path / "www/index.html").as_uri())
    assert "scan@measurement.example" in window.text()
    assert "the form" not in window.text()
    assert window.complaints() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser enters a namespace")
def test_who_was_scanned_asks_the_source_and_the_doctor_has_done_so_before(tmp_path: Path) -> None:
    """On the real ports, in a network of its own: the far side opens the address that its packets came from."""
    table: Table = {
        ("PTR", ip_address(NEAR_ADDRESS).reverse_pointer): ("scan1.research.example",),
        ("A", "scan1.research.example"): (NEAR_ADDRESS,),
    }
    (tmp_path / "notice.toml").write_text(TEXT.replace('"192.0.2.10", "192.0.2.128/25"', f'"{NEAR_ADDRESS}"'))
    with Simnet(Spec(seed=5, targets=("10.0.0.0/28",), ports=(80,))) as net:

        def seen() -> list[list[str]]:
            words = ("doctor", "--notice", "notice.toml", "--resolver", server, "--json")
            ran = net.run(argv(*words), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
            rows = map(json.loads, ran.communicate(timeout=120)[0].splitlines())
            return [[row["state"], row["text"]] for row in rows if row["check"] in ("notice", "reverse DNS")]

        with ExitStack() as stack:
            with net.inside():
                server = stack.enter_context(nameserver(lambda query: [answer(query, table)]))
            before = seen()
            assert [state for state, text in before if NEAR_ADDRESS in text] == ["pass", "FAIL", "FAIL"]
            with (tmp_path / "log").open("wb") as log:
                serving = net.run(argv("notice", "serve"), cwd=tmp_path, stdout=log, stderr=log)
            end = time.monotonic() + 60
            while (tmp_path / "log").read_text().count("the notice is at") < 2:
                assert serving.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.05)
            after = [[state, text] for state, text in seen() if NEAR_ADDRESS in text]
            assert after == [
                ["pass", f"{NEAR_ADDRESS} is scan1.research.example, and back"],
                ["pass", f"http://{NEAR_ADDRESS}/ names scan@measurement.example"],
                ["pass", f"https://{NEAR_ADDRESS}/ names scan@measurement.example"],
            ]
            with net.inside("far"):
                connection = http.client.HTTPConnection(NEAR_ADDRESS, timeout=60)
                connection.connect()
            connection.request("GET", "/")
            assert b"scan@measurement.example" in connection.getresponse().read()
            connection.close()
            serving.terminate()
            assert serving.wait(60) == 143
