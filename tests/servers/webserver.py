"""nginx on all addresses of the loopback, one worker, one short answer: the target of the grabs' benchmarks."""

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
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen {port} backlog=16384;
        location / {{ return 200 "hello there\\n"; }}
    }}
}}
"""

_READY_S = 10.0


@contextmanager
def webserver() -> Iterator[int]:
    """The port, on every address of 127.0.0.0/8."""
    require(shutil.which("nginx"), "needs nginx")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        configuration = Path(home) / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(home=home, port=port))
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
