"""The TCP addresses on which a process listens, from the sockets among its descriptors. Tables are cached per scan."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import psutil  # type: ignore[import-untyped]

_LISTEN = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]$")
_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound


class Ports:
    """Listening sockets by network namespace."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[int, str]] = {}

    def of(self, process: psutil.Process) -> tuple[str, ...] | None:
        """Listening addresses as HOST:PORT (`*:PORT`: all interfaces), ordered by port; None if not readable."""
        pid = process.pid
        if not Path("/proc/net/tcp").exists():
            return _of_psutil(process)
        try:
            folder = f"/proc/{pid}/fd"
            links = [os.readlink(f"{folder}/{entry}") for entry in os.listdir(folder)]  # noqa: PTH115, PTH208 - thousands
            table = self._table(pid)
        except FileNotFoundError:  # it was closed meanwhile
            return _of_psutil(process)
        except OSError:
            return None
        if not table:
            return ()
        inodes = (int(found[1]) for link in links if (found := _SOCKET.match(link)))
        return _sorted({table[inode] for inode in inodes if inode in table})

    def _table(self, pid: int) -> dict[int, str]:
        """Listening addresses by socket inode, in the network namespace of the process."""
        namespace = os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 - "net:[…]" is not a path
        if namespace not in self._tables:
            found: dict[int, str] = {}
            for name in ("tcp", "tcp6"):
                try:
                    lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
                except OSError:  # without IPv6
                    continue
                for line in lines:
                    fields = line.split(None, 10)
                    if fields[3] == _LISTEN:
                        found[int(fields[9])] = _address(fields[1])
            self._tables[namespace] = found
        return self._tables[namespace]


def _address(text: str) -> str:
    """HOST:PORT from the kernel's hexadecimal form."""
    host, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(host[i : i + 8])[::-1] for i in range(0, len(host), 8))
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return _joined(socket.inet_ntop(family, raw), int(port, 16))


def _joined(host: str, port: int) -> str:
    if host in _ANY:
        return f"*:{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _sorted(addresses: set[str]) -> tuple[str, ...]:
    return tuple(sorted(addresses, key=lambda address: (int(address.rpartition(":")[2]), address)))


def _of_psutil(process: psutil.Process) -> tuple[str, ...] | None:
    try:
        found = process.net_connections("tcp")
    except (psutil.Error, NotImplementedError):
        return None
    return _sorted({_joined(one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN})
