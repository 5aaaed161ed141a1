from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from stages.core.errors import HostError, UsageError
from stages.fleet import selfsigned
from stages.fleet.serving import Shown, bound

NOW = dt.datetime.now(dt.UTC)


def test_all_addresses_of_both_versions() -> None:
    with closing(bound("--http", "", 0)) as listening:
        listening.listen()
        port = listening.getsockname()[1]
        for host in ("127.0.0.1", "::1") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
            with closing(socket.create_connection((host, port), 10)):
                listening.accept()[0].close()


def test_one_address() -> None:
    with closing(bound("--http", "127.0.0.2", 0)) as listening:
        assert listening.getsockname()[0] == "127.0.0.2"
        listening.listen()
        with pytest.raises(HostError, match=f"--https: port {listening.getsockname()[1]} of 127.0.0.2: "):
            bound("--https", "127.0.0.2", listening.getsockname()[1])


@pytest.mark.parametrize("host", ["nonsense", "192.0.2.1.1", "localhost"])
def test_no_address(host: str) -> None:
    with pytest.raises(UsageError, match="--http"):
        bound("--http", host, 0)


def test_an_address_of_others() -> None:
    with pytest.raises(HostError, match=r"192\.0\.2\.1"):
        bound("--http", "192.0.2.1", 0)


def files(folder: Path, name: str) -> tuple[str, str]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = selfsigned.made([name], NOW)
    certificate.write_bytes(made[0])
    key.write_bytes(made[1])
    return str(certificate), str(key)


def seen(shown: Shown) -> list[str]:
    """The names in the certificate of a handshake."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with shown.context.wrap_socket(theirs, server_side=True) as tls:
            tls.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(ours) as tls:
        der = tls.getpeercert(binary_form=True)
        tls.send(b"x")
    thread.join()
    assert der is not None
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def test_its_own() -> None:
    shown = Shown(None, None, ["scan.example", "192.0.2.1"], NOW)
    assert seen(shown) == ["scan.example", "192.0.2.1"]
    shown.again()
    assert seen(shown) == ["scan.example", "192.0.2.1"]


def test_files_and_their_renewal(tmp_path: Path) -> None:
    shown = Shown(*files(tmp_path, "old.example"), (), NOW)
    assert seen(shown) == ["old.example"]
    files(tmp_path, "new.example")
    shown.again()
    assert seen(shown) == ["new.example"]
    (tmp_path / "key.pem").write_text("rubbish")
    with pytest.raises(UsageError, match="--certificate"):
        shown.again()
    assert seen(shown) == ["new.example"]


def test_both_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "both.pem"
    file.write_bytes(b"".join(selfsigned.made(["one.example"], NOW)))
    assert seen(Shown(str(file), None, (), NOW)) == ["one.example"]


def test_files_that_are_none(tmp_path: Path) -> None:
    certificate, key = files(tmp_path, "x.example")
    with pytest.raises(UsageError, match="--key"):
        Shown(certificate, str(tmp_path / "none"), (), NOW)
    with pytest.raises(UsageError, match="--certificate"):
        Shown(key, None, (), NOW)
    other = tmp_path / "other.pem"
    other.write_bytes(selfsigned.made(["x.example"], NOW)[1])
    with pytest.raises(UsageError, match="no certificate with its key"):
        Shown(certificate, str(other), (), NOW)
