"""`longline notice serve` as a process: what stands behind its two ports, and what it keeps while it runs."""

from __future__ import annotations

import datetime as dt
import http.client
import os
import ssl
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography import x509

from stages.fleet import selfsigned
from tests.cli.command import longline
from tests.servers.notice import NOTICE, Served, served

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(
    site: Served, method: str, path: str, fields: dict[str, str] | None = None, *, tls: bool = True, **headers: str
) -> tuple[http.client.HTTPResponse, str]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = (
        http.client.HTTPSConnection("127.0.0.1", site.https, timeout=60, context=context)
        if tls
        else http.client.HTTPConnection("127.0.0.1", site.http, timeout=60)
    )
    try:
        body = None if fields is None else urlencode(fields)
        connection.request(method, path, body, {**(FORM if fields else {}), **headers})
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def names(site: Served) -> list[str]:
    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", site.https)))
    held = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in held]


def test_both_ports_have_the_page_and_one_has_the_form(tmp_path: Path) -> None:
    with served(tmp_path) as site:
        for tls in (False, True):
            answer, body = ask(site, "GET", "/", tls=tls, Host="whatever.example")
            assert answer.status == 200
            assert "scan@measurement.example" in body
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")
            assert answer.headers["Server"] == "longline"
            assert ("Strict-Transport-Security" in answer.headers) is tls
            assert ask(site, "BREW", "/", tls=tls)[0].status in (400, 405)
        assert names(site) == ["scan.measurement.example", "192.0.2.10", "192.0.2.11"]
        link = site.invite("alice")
        assert ask(site, "POST", link, {}, tls=False)[0].status == 403
        answer, _ = ask(site, "POST", link)
        assert answer.status == 303
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        _, page = ask(site, "GET", "/optout", Cookie=cookie)
        csrf = page.partition('name="csrf" value="')[2][:64]
        fields = {"csrf": csrf, "networks": "8.8.8.0/24", "contact": "a@b.example"}
        assert "number 1 and waits" in ask(site, "POST", "/optout", fields, Cookie=cookie)[1]
        # The list is looked at when it changed, and only when it can be read.
        assert longline("optout", "accept", "1", cwd=tmp_path).returncode == 0
        assert "Left alone already" in ask(site, "POST", "/optout", fields, Cookie=cookie)[1]
        (tmp_path / "optout.txt").write_text("rubbish!\n")
        assert "Left alone already" in ask(site, "POST", "/optout", fields, Cookie=cookie)[1]
    with served(tmp_path, "--optout", "none.txt") as site:  # a session outlives the process
        assert "8.8.8.0/24" in ask(site, "GET", "/optout", Cookie=cookie)[1]


def test_without_the_form(tmp_path: Path) -> None:
    with served(tmp_path, "--no-form") as site:
        assert ask(site, "GET", "/optout")[0].status == 404
    assert not (tmp_path / "notice.db").exists()


def test_a_certificate_that_is_renewed_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "both.pem"

    def renew(name: str) -> None:
        beside = tmp_path / "new.pem"
        beside.write_bytes(b"".join(selfsigned.made([name], dt.datetime.now(dt.UTC))))
        beside.replace(file)

    renew("old.example")
    with served(tmp_path, "--certificate", file) as site:
        assert names(site) == ["old.example"]
        renew("new.example")
        end = time.monotonic() + 60
        while names(site) != ["new.example"]:
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser has something to drop")
def test_it_keeps_no_privilege_for_packets_or_ports(tmp_path: Path) -> None:
    with served(tmp_path) as site:
        status = Path(f"/proc/{site.pid}/status").read_text()
        held = int(status.partition("CapPrm:")[2].split()[0], 16)
        assert held & ~(1 << 0 | 1 << 1) == 0
        assert "NoNewPrivs:\t1" in status


def test_a_port_that_is_taken_or_not_ours(tmp_path: Path) -> None:
    with served(tmp_path) as site:
        ran = longline("notice", "serve", NOTICE, "--http", f"127.0.0.1:{site.http}", "--https", "", cwd=tmp_path)
        assert ran.returncode == 1
        assert f"--http: port {site.http} of 127.0.0.1: Address already in use" in ran.stderr
