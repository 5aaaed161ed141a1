"""nginx with TLS on all addresses of the loopback, one worker: for the benchmarks and for real handshakes."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.require import require
from tests.servers.certificates import Identity

_CONFIGURATION = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {home}/pid;
error_log {home}/error.log crit;
events {{ worker_connections 15000; }}
http {{
    access_log off;
    keepalive_timeout 0;
    client_header_timeout 60s;
    ssl_session_cache off;
    ssl_session_tickets off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen {port} ssl backlog=16384;
        ssl_certificate {home}/chain.pem;
        ssl_certificate_key {home}/key.pem;
        ssl_protocols {protocols};
        {more}
        location / {{ return 200 "hello there\\n"; }}
    }}
}}
"""

_READY_S = 10.0


@contextmanager
def tlsserver(who: Identity, protocols: str, more: str = "") -> Iterator[int]:
    """The port, on every address of 127.0.0.0/8. `protocols`: as in ssl_protocols; `more`: further directives."""
    require(shutil.which("nginx"), "needs nginx")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "chain.pem").write_bytes(who.chain_pem)
        (Path(home) / "key.pem").write_bytes(who.key_pem)
        configuration = Path(home) / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(home=home, port=port, protocols=protocols, more=more))
        process = subprocess.Popen(["nginx", "-p", home, "-c", str(configuration)], stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + _READY_S
            while time.monotonic() < end:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()
            process.wait()
