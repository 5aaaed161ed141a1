"""A tunnel between two namespaces, without Ethernet headers: `python -m tests.servers.tunnel PID`.

`tun0` here and `tun1` in the namespace of PID are two ends of one pipe that this process carries packets through, until
it is stopped. Says `ready` when both are up.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000


def end(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    return fd


def main() -> None:
    near = end("tun0")
    with open(f"/proc/{sys.argv[1]}/ns/net") as there:
        if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    far = end("tun1")
    print("ready", flush=True)
    other = {near: far, far: near}
    while True:
        for fd in select.select([near, far], [], [])[0]:
            os.write(other[fd], os.read(fd, 65_536))


if __name__ == "__main__":
    main()
