"""Real servers behind the simulated addresses: nginx, OpenSSH, redis and Postfix as Debian ships them.

Each gets a configuration of ours in a directory that the caller gives and takes away again, runs in the foreground in
the far namespace and is ended with it. By AnyIP each answers at every address of the far side; take ports that the
truth does not use. nginx and redis run for an ordinary user too; OpenSSH and Postfix change their user and want root.

OpenSSH insists on /run/sshd: it gets a mount namespace of its own with an empty /run, so that the machine's is left
alone (unshare(1) is part of util-linux).
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stages.simnet.network import Simnet, SimnetError

#: Postfix takes about two seconds to start.
READY_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.02

#: The state LISTEN in /proc/net/tcp (proc_pid_net(5)).
_LISTEN: Final = "0A"


@dataclass(frozen=True, slots=True)
class RealServer:
    """One server, ready to be started."""

    name: str
    program: str  #: what must be installed
    package: str  #: where Debian has it
    argv: tuple[str, ...]
    ports: tuple[int, ...]

    @property
    def installed(self) -> bool:
        return find(self.program) is not None


def find(program: str) -> str | None:
    """Where a program is; also where an ordinary user's PATH does not look."""
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin")


def nginx(directory: Path, port: int, *, tls_port: int | None = None, pem: bytes = b"") -> RealServer:
    """HTTP, and HTTPS with `pem` (key and chain). Every path answers with the address that was asked."""
    places = [f"listen 0.0.0.0:{port};"]
    if tls_port is not None:
        (directory / "identity.pem").write_bytes(pem)
        places.append(f"listen 0.0.0.0:{tls_port} ssl;")
        places.append(f"ssl_certificate {directory}/identity.pem; ssl_certificate_key {directory}/identity.pem;")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    file = directory / "nginx.conf"
    file.write_text(
        f"user root; daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr crit;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; {paths}\n"
        f"server {{ {' '.join(places)}\n"
        'location / { default_type text/plain; return 200 "$server_addr:$server_port\\n"; } } }\n'
    )
    argv = ("nginx", "-e", "stderr", "-p", str(directory), "-c", str(file))
    ports = (port,) if tls_port is None else (port, tls_port)
    return RealServer("nginx", "nginx", "nginx-light", argv, ports)


def sshd(directory: Path, port: int) -> RealServer:
    """OpenSSH; nobody can log in. Makes a host key with ssh-keygen."""
    key = directory / "host_key"
    if find("ssh-keygen") and not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    file = directory / "sshd_config"
    file.write_text(
        f"Port {port}\nListenAddress 0.0.0.0\nHostKey {key}\nPidFile none\nUsePAM no\nPasswordAuthentication no\n"
        "MaxStartups 2000\nLogLevel ERROR\nPerSourceMaxStartups none\n"
    )
    start = 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec "$0" -D -e -f "$1"'
    argv = ("unshare", "--mount", "sh", "-c", start, find("sshd") or "sshd", str(file))
    return RealServer("OpenSSH", "sshd", "openssh-server", argv, (port,))


def redis(directory: Path, port: int) -> RealServer:
    """redis, without persistence."""
    file = directory / "redis.conf"
    file.write_text(
        f'port {port}\nbind 0.0.0.0\nprotected-mode no\nsave ""\nappendonly no\ndir {directory}\n'
        "daemonize no\nloglevel warning\ntcp-backlog 4096\n"
    )
    return RealServer("redis", "redis-server", "redis-server", ("redis-server", str(file)), (port,))


def postfix(directory: Path, port: int, *, pem: bytes = b"") -> RealServer:
    """Postfix as an SMTP server that takes no mail, and offers STARTTLS with `pem` (key and chain). `directory` must be
    open to its user (mode 755)."""
    tls = ""
    if pem:
        (directory / "smtpd.pem").write_bytes(pem)
        tls = f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {directory}/smtpd.pem\n"
    queue, data = directory / "queue", directory / "data"
    for made in (queue, data):
        made.mkdir(exist_ok=True)
    shutil.chown(data, "postfix")
    (directory / "main.cf").write_text(
        "compatibility_level = 3.6\n"
        f"queue_directory = {queue}\ndata_directory = {data}\nmaillog_file = {directory}/mail.log\n"
        f"maillog_file_prefixes = {directory}\n"
        "command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n"
        "mail_owner = postfix\nsetgid_group = postdrop\n"
        "myhostname = mail.simnet.example\nmydestination =\nmynetworks = 127.0.0.0/8\n"
        "inet_interfaces = all\ninet_protocols = ipv4\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n"
        "local_transport = error:none\n"
        "smtpd_peername_lookup = no\nsmtpd_client_connection_count_limit = 0\n"
        f"{tls}"
    )
    (directory / "master.cf").write_text(
        f"{port} inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n"
        "qmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\nanvil unix - - n - 1 anvil\n"
        "bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\nerror unix - - n - - error\n"
        "proxymap unix - - n - - proxymap\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
        "postlog unix-dgram n - n - 1 postlogd\n"
    )
    return RealServer("Postfix", "postfix", "postfix", ("postfix", "-c", str(directory), "start-fg"), (port,))


def listening(net: Simnet) -> set[int]:
    """TCP ports on which somebody listens in the far namespace."""
    ports = set()
    for name in ("tcp", "tcp6"):
        file = Path(f"/proc/{net.far_pid}/net/{name}")
        if file.exists():
            rows = [line.split() for line in file.read_text().splitlines()[1:]]
            ports |= {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTEN}
    return ports


def start(net: Simnet, server: RealServer, *, sleep: Callable[[float], None] = time.sleep) -> subprocess.Popen[Any]:
    """Start a server in the far namespace; returns when it listens on all its ports. Raises SimnetError."""
    if not server.installed:
        raise SimnetError(f"{server.name} is not installed (Debian: {server.package})")
    program = net.far_run(server.argv, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    end = time.monotonic() + READY_SECONDS
    while not listening(net).issuperset(server.ports):
        if program.poll() is not None:
            raise SimnetError(f"{server.name} ended with status {program.returncode} before it listened")
        if time.monotonic() > end:
            program.kill()
            raise SimnetError(f"{server.name} does not listen after {READY_SECONDS:.0f} s")
        sleep(_LOOK_SECONDS)
    return program
