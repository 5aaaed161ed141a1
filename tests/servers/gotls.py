"""A TLS server of Go's own library, built once and kept in `.cache`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.require import require

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".cache" / "servers" / "gotls"

_MODULE = "module longline.test/gotls\n\ngo 1.19\n"
_SOURCE = """// Command gotls: ADDRESS CHAIN.pem KEY.pem [ALPN ...]; one handshake a connection.
package main

import (
\t"crypto/tls"
\t"log"
\t"os"
)

func main() {
\tpair, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\tconfig := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, NextProtos: os.Args[4:]}
\tlistener, err := tls.Listen("tcp", os.Args[1], config)
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\tfor {
\t\tconnection, err := listener.Accept()
\t\tif err != nil {
\t\t\tlog.Fatal(err)
\t\t}
\t\tgo func() {
\t\t\tdefer connection.Close()
\t\t\tconnection.(*tls.Conn).Handshake()
\t\t\tconnection.Read(make([]byte, 1))
\t\t}()
\t}
}
"""


def gotls() -> Path:
    """The program."""
    program = HOME / "gotls"
    if program.exists():
        return program
    require(shutil.which("go"), "a server of Go's TLS is built by Go (Debian: golang-go)")
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME / "go.mod").write_text(_MODULE)
    (HOME / "main.go").write_text(_SOURCE)
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=HOME, check=True)
    return program
