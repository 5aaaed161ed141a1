"""Requests in, answers out: a desk in a file, no sockets, time in hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core.errors import HostError
from stages.core.netset import NetSet
from stages.fleet.asking import MAX_WAITING, Asked
from stages.fleet.desk import INVITE_SECONDS, SqliteDesk
from stages.fleet.notice_html import POLICY
from stages.fleet.notice_site import MAX_BODY, SESSION_SECONDS, Request, Response, Site, csrf_of, hash_of
from tests.fleet.material import NOW
from tests.fleet.notices import notice

INVITED = "A" * 32
FORM = "application/x-www-form-urlencoded"


def secrets() -> Iterator[str]:
    for number in range(26**2):
        yield f"{'B' * 30}{chr(65 + number // 26)}{chr(65 + number % 26)}"


class Visitor:
    """A browser with one cookie."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.desk = SqliteDesk(folder / "notice.db")
        self.listed = NetSet()
        made = secrets()
        self.site = Site(notice(), self.desk, lambda: self.listed, lambda: next(made))
        self.cookie = ""

    def ask(
        self, method: str, path: str, fields: dict[str, str] | None = None, *, secure: bool = True, **headers: str
    ) -> Response:
        sent = {"cookie": self.cookie} if self.cookie else {}
        if fields is not None:
            sent["content-type"] = FORM
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = b"" if fields is None else urlencode(fields).encode()
        answer = self.site.answer(Request(method, path, sent, body, secure), self.now)
        if "Set-Cookie" in answer.headers:
            self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return answer

    def enter(self, account: str = "alice", secret: str = INVITED) -> None:
        self.desk.invite(hash_of(secret), account, self.now)
        assert self.ask("POST", f"/invite/{secret}").status == 303

    def send(self, **fields: str) -> Response:
        page = self.ask("GET", "/optout").body.decode()
        [csrf, _] = re.findall(r'name="csrf" value="([0-9a-f]{64})"', page)
        return self.ask("POST", "/optout", {"csrf": csrf, "contact": "a@b.example", **fields})


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Visitor]:
    made = Visitor(tmp_path)
    yield made
    made.desk.close()


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("/", "text/html", b"<h1>"), ("/index.html", "text/html", b"<h1>"), ("/notice.txt", "text/plain", b"One SYN"),
        ("/addresses.txt", "text/plain", b"192.0.2.10"), ("/robots.txt", "text/plain", b"User-agent"),
        ("/.well-known/security.txt", "text/plain", b"Contact: mailto:"), ("/security.txt", "text/plain", b"Expires"),
    ],
)  # fmt: skip
def test_pages_for_everybody(visitor: Visitor, path: str, kind: str, said: bytes) -> None:
    for secure in (False, True):
        answer = visitor.ask("GET", path, secure=secure)
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(kind)
        assert said in answer.body
        assert ("Strict-Transport-Security" in answer.headers) is secure
        assert visitor.ask("HEAD", path, secure=secure) == answer
    refused = visitor.ask("POST", path, {})
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


def test_the_date_in_security_txt_moves_on(visitor: Visitor) -> None:
    first = visitor.ask("GET", "/security.txt").body
    visitor.now += 86_400
    assert visitor.ask("GET", "/security.txt").body != first


def test_without_a_desk_there_is_no_form() -> None:
    site = Site(notice(), None, NetSet, lambda: "")
    for path in ("/optout", "/invite/" + INVITED):
        assert site.answer(Request("GET", path, secure=True), NOW).status == 404
    assert b"/optout" not in site.answer(Request("GET", "/"), NOW).body


def test_a_link_is_good_once_and_opening_it_does_not_spend_it(visitor: Visitor) -> None:
    visitor.desk.invite(hash_of(INVITED), "alice", NOW)
    for _ in range(2):
        assert b"alice" in visitor.ask("GET", f"/invite/{INVITED}").body
    answer = visitor.ask("POST", f"/invite/{INVITED}")
    assert (answer.status, answer.headers["Location"]) == (303, "/optout")
    said = answer.headers["Set-Cookie"].split("; ")
    assert said[0].startswith("__Host-notice=")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SESSION_SECONDS}"} <= set(said)
    assert visitor.ask("GET", "/optout").status == 200
    assert visitor.ask("POST", f"/invite/{INVITED}").status == 403
    assert visitor.ask("GET", f"/invite/{INVITED}").status == 403


def test_a_link_ends_and_so_does_a_session(visitor: Visitor) -> None:
    visitor.desk.invite(hash_of(INVITED), "alice", NOW)
    visitor.now += INVITE_SECONDS + 1
    assert visitor.ask("POST", f"/invite/{INVITED}").status == 403
    visitor.enter()
    visitor.now += SESSION_SECONDS + 1
    assert visitor.ask("GET", "/optout").status == 403


@pytest.mark.parametrize("secret", ["", "a" * 32, "A" * 31, "C" * 32, "%41" * 32, "../" + INVITED])
def test_no_link(visitor: Visitor, secret: str) -> None:
    visitor.desk.invite(hash_of(INVITED), "alice", NOW)
    for method in ("GET", "POST"):
        assert visitor.ask(method, f"/invite/{secret}").status == 403


def test_only_over_tls(visitor: Visitor) -> None:
    visitor.enter()
    visitor.desk.invite(hash_of("D" * 32), "bob", NOW)
    for path in ("/optout", "/optout/leave", f"/invite/{'D' * 32}"):
        for method in ("GET", "POST"):
            answer = visitor.ask(method, path, {}, secure=False)
            assert answer.status == 403
            assert b"https://scan.measurement.example/optout" in answer.body
            assert "Set-Cookie" not in answer.headers
    assert visitor.desk.invited(hash_of("D" * 32), NOW) == "bob"


def test_a_request_is_kept_for_review(visitor: Visitor) -> None:
    visitor.enter()
    answer = visitor.send(networks="8.8.8.0/24 4.0.0.0/8", reason="<script>")
    assert answer.status == 200
    assert b"the number 1" in answer.body
    [one] = visitor.desk.all()
    assert (one.account, one.at, one.networks, one.wide) == ("alice", NOW, ("8.8.8.0/24", "4.0.0.0/8"), ("4.0.0.0/8",))
    assert (one.state, one.reason) == ("waiting", "<script>")
    assert b"8.8.8.0/24" in visitor.ask("GET", "/optout").body


def test_who_is_on_the_list_is_told_so(visitor: Visitor) -> None:
    visitor.enter()
    visitor.listed = NetSet.parse(["8.8.8.0/23"], "f")
    answer = visitor.send(networks="8.8.8.0/24")
    assert b"Left alone already" in answer.body
    assert visitor.desk.all() == []
    assert b"8.8.8.8" in visitor.send(networks="8.8.8.8 1.1.1.1").body
    assert visitor.desk.all()[0].networks == ("1.1.1.1",)


def test_what_is_wrong_comes_back_with_what_was_typed(visitor: Visitor) -> None:
    visitor.enter()
    answer = visitor.send(networks="10.0.0.0/8", reason='"><script>', contact="nobody")
    assert answer.status == 422
    assert b"never scanned" in answer.body
    assert b"10.0.0.0/8" in answer.body
    assert b"&quot;&gt;&lt;script&gt;" in answer.body
    assert visitor.desk.all() == []


def test_an_account_asks_so_often(visitor: Visitor) -> None:
    visitor.enter()
    for number in range(MAX_WAITING):
        assert visitor.send(networks=f"8.8.8.{number}").status == 200
    assert visitor.send(networks="1.1.1.1").status == 429
    visitor.desk.decide(1, "refused", "no", NOW)
    assert visitor.send(networks="1.1.1.1").status == 200
    visitor.enter("bob", "E" * 32)
    assert b"8.8.8" not in visitor.ask("GET", "/optout").body
    assert visitor.send(networks="1.1.1.1").status == 200


def test_what_is_no_form_of_ours_is_refused(visitor: Visitor) -> None:
    visitor.enter()
    good = {"csrf": csrf_of(visitor.cookie.partition("=")[2]), "networks": "8.8.8.8", "contact": "a@b.example"}
    for path in ("/optout", "/optout/leave"):
        assert visitor.ask("POST", path, {**good, "csrf": ""}).status == 403
        assert visitor.ask("POST", path, {**good, "csrf": csrf_of("C" * 32)}).status == 403
        assert visitor.ask("POST", path, {**good, "csrf": "ä"}).status == 403
        assert visitor.ask("POST", path, good, sec_fetch_site="cross-site").status == 403
        assert visitor.ask("POST", path, good, sec_fetch_site="same-site").status == 403
        assert visitor.ask("POST", path, good, content_type="text/plain").status == 400
        assert visitor.ask("POST", path, good, cookie="__Host-notice=" + "C" * 32).status == 403
        assert visitor.ask("POST", path, good, cookie="").status == 403
        assert visitor.ask("POST", path).status == 400
    for body in (
        b"csrf=%ff",
        b"csrf=\xff",
        b"a=1&a=2",
        b"&".join(b"%d=" % n for n in range(99)),
        b"x" * (MAX_BODY + 1),
    ):
        request = Request("POST", "/optout", {"cookie": visitor.cookie, "content-type": FORM}, body, True)
        assert visitor.site.answer(request, NOW).status == 400
    assert visitor.desk.all() == []
    assert visitor.ask("POST", "/optout", good, sec_fetch_site="same-origin").status == 200


def test_signing_out_ends_the_session(visitor: Visitor) -> None:
    visitor.enter()
    before = visitor.cookie
    answer = visitor.ask("POST", "/optout/leave", {"csrf": csrf_of(before.partition("=")[2])})
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    visitor.cookie = before
    assert visitor.ask("GET", "/optout").status == 403
    assert visitor.ask("GET", "/optout/leave").status == 403


def test_leaving_is_sent(visitor: Visitor) -> None:
    visitor.enter()
    answer = visitor.ask("GET", "/optout/leave")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


class Full(SqliteDesk):
    def file(self, account: str, asked: Asked, now: float) -> int | None:
        raise HostError("the disk is full")


def test_what_cannot_be_kept_is_not_promised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    visitor = Visitor(tmp_path)
    visitor.desk.close()
    visitor.desk = Full(tmp_path / "notice.db")
    visitor.site = Site(notice(), visitor.desk, NetSet, lambda: "F" * 32)
    visitor.enter()
    for _ in range(2):
        answer = visitor.send(networks="8.8.8.8")
        assert answer.status == 503
        assert b"disk" not in answer.body
    assert [record.message for record in caplog.records] == ["the form cannot be used: the disk is full"] * 2
    csrf = csrf_of(visitor.cookie.partition("=")[2])
    for _ in range(2):
        visitor.ask("POST", "/optout", {"csrf": csrf, "networks": "8.8.8.8", "contact": "a@b.example"})
    assert len(caplog.records) == 2
    visitor.desk.close()


PATHS = st.one_of(
    st.sampled_from(["/", "/optout", "/optout/leave", "/invite/", "/invite/" + INVITED, "*", "", "/notice.txt"]),
    st.text(max_size=40),
    st.text(max_size=40).map(lambda text: f"/invite/{text}"),
)
HEADERS = st.dictionaries(
    st.sampled_from(["cookie", "content-type", "sec-fetch-site", "host", "x"]),
    st.one_of(
        st.sampled_from([FORM, "__Host-notice=" + "B" * 30 + "AA", "same-origin", "cross-site"]), st.text(max_size=60)
    ),
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["csrf", "networks", "reason", "contact"]), st.text(max_size=60)).map(
        lambda fields: urlencode({name: value.encode("utf-8", "replace") for name, value in fields.items()}).encode()
    ),
    st.builds(
        lambda networks, reason: urlencode(
            {"csrf": csrf_of("B" * 30 + "AA"), "networks": networks, "reason": reason.encode("utf-8", "replace"),
             "contact": "a@b.example"}
        ).encode(), st.sampled_from(["8.8.8.8", "10.0.0.0/8", "x"]), st.text(max_size=60),
    ),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    st.one_of(st.sampled_from(["GET", "HEAD", "POST", "PUT", ""]), st.text(max_size=9)), PATHS, HEADERS, BODIES,
    st.booleans(),
)  # fmt: skip
def test_whatever_is_asked_is_answered(
    visitor: Visitor, method: str, path: str, headers: dict[str, str], body: bytes, secure: bool
) -> None:
    if not visitor.cookie:
        visitor.enter()
        assert visitor.cookie == "__Host-notice=" + "B" * 30 + "AA"
    answer = visitor.site.answer(Request(method, path, headers, body, secure), NOW)
    assert answer.status in {200, 303, 400, 403, 404, 405, 422, 429}
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for name, value in answer.headers.items():
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert value.isascii()
        assert value.isprintable()
    answer.body.decode()
    assert path not in ("/", "/notice.txt") or answer.status in (200, 405)
