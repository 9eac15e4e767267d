"""A minimal viewer: connects, subscribes, reads everything.

`python -m benchmarks.viewer SOCKET RATE` is the viewer of a worker: it writes one line on stdout when the first tick
has arrived, since counting has then begun, and reads until the program ends. `crowds` uses the parts.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def connect(path: str, within: float = 20.0) -> socket.socket:
    """Connect to a probe, waiting for its socket if need be."""
    until = time.monotonic() + within
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return sock


def watch(sock: socket.socket, **what: Any) -> None:
    """Subscribe as a viewer does."""
    sock.sendall(json.dumps({"type": "watch", **what}).encode() + b"\n")


def lines(sock: socket.socket) -> Iterator[bytes]:
    """Yield the frames, undecoded, until the probe closes."""
    rest = b""
    while data := sock.recv(1 << 20):
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def is_tick(line: bytes) -> bool:
    """Whether a frame is a tick."""
    return line.startswith(b'{"type":"tick"')


def main() -> None:
    """Reads everything from the first frame to the last."""
    sock = connect(sys.argv[1])
    watch(sock, rate=float(sys.argv[2]))
    begun = False
    for line in lines(sock):
        if is_tick(line) and (off := json.loads(line).get("probe", {}).get("off")):
            # A probe that counts less costs less: such a run would prove nothing.
            sys.exit(f"hooks of the probe are off: {off}")
        if is_tick(line) and not begun:
            begun = True
            sys.stdout.write("watching\n")
            sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
