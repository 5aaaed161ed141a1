"""Servers by others that offer STARTTLS, each with a configuration of ours in a directory of its own.

Each function writes what its server needs into `home` (mode 755, for servers that change their user) and gives the
command that runs it in the foreground.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.require import require
from tests.servers.certificates import Identity

#: Who the XMPP server is: a stream is opened to a name.
CHAT = "chat.test"


def _found(program: str, package: str) -> str:
    require(os.geteuid() == 0, f"{program} changes its user, which needs root")
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    require(path, f"{program} (Debian: {package})")
    assert path is not None
    return path


def _pems(home: Path, who: Identity) -> tuple[Path, Path]:
    chain, key = home / "chain.pem", home / "key.pem"
    chain.write_bytes(who.chain_pem)
    key.write_bytes(who.key_pem)
    return chain, key


def dovecot(home: Path, who: Identity, host: str, ports: dict[str, int]) -> list[str]:
    """`ports`: of imap, pop3 and sieve."""
    program = _found("dovecot", "dovecot-imapd")
    _found("/usr/lib/dovecot/pop3-login", "dovecot-pop3d")
    _found("/usr/lib/dovecot/managesieve-login", "dovecot-managesieved")
    chain, key = _pems(home, who)
    services = {"imap": "imap-login", "pop3": "pop3-login", "sieve": "managesieve-login"}
    (home / "dovecot.conf").write_text(
        f"base_dir = {home}/run\nstate_dir = {home}/run\nlog_path = {home}/log\nlisten = {host}\n"
        f"protocols = {' '.join(ports)}\nssl = required\nssl_cert = <{chain}\nssl_key = <{key}\n"
        "default_vsz_limit = 1G\npassdb {\n  driver = static\n  args = nopassword=y\n}\n"
        + "".join(
            f"service {services[name]} {{\n  inet_listener {name} {{\n    port = {port}\n  }}\n"
            + (f"  inet_listener {name}s {{\n    port = 0\n  }}\n" if name != "sieve" else "")
            + "}\n"
            for name, port in ports.items()
        )
    )
    return [program, "-F", "-c", str(home / "dovecot.conf")]


def vsftpd(home: Path, who: Identity, host: str, port: int) -> list[str]:
    program = _found("vsftpd", "vsftpd")
    chain, key = _pems(home, who)
    empty = home / "empty"
    empty.mkdir()
    (home / "vsftpd.conf").write_text(
        f"listen=YES\nlisten_address={host}\nlisten_port={port}\nbackground=NO\nsecure_chroot_dir={empty}\n"
        "anonymous_enable=NO\nlocal_enable=YES\nseccomp_sandbox=NO\nssl_enable=YES\nssl_ciphers=HIGH\n"
        f"rsa_cert_file={chain}\nrsa_private_key_file={key}\n"
    )
    return [program, str(home / "vsftpd.conf")]


def slapd(home: Path, who: Identity, host: str, port: int) -> list[str]:
    program = _found("slapd", "slapd")
    chain, key = _pems(home, who)
    (home / "slapd.conf").write_text(f"pidfile {home}/pid\nTLSCertificateFile {chain}\nTLSCertificateKeyFile {key}\n")
    return [program, "-h", f"ldap://{host}:{port}", "-f", str(home / "slapd.conf"), "-d", "0"]


def prosody(home: Path, who: Identity, host: str, port: int) -> list[str]:
    program = _found("prosody", "prosody")
    chain, key = _pems(home, who)
    (home / "prosody.lua").write_text(
        f'run_as_root = true\npidfile = "{home}/pid"\ndata_path = "{home}"\nlog = {{ error = "{home}/log" }}\n'
        f'modules_enabled = {{ "tls" }}\nmodules_disabled = {{ "s2s" }}\ninterfaces = {{ "{host}" }}\n'
        f"c2s_ports = {{ {port} }}\nc2s_require_encryption = true\n"
        f'VirtualHost "{CHAT}"\n  ssl = {{ key = "{key}", certificate = "{chain}" }}\n'
    )
    return [program, "-F", "--config", str(home / "prosody.lua")]
