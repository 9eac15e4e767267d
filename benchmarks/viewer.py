"""A viewer as plain as can be: connects, says what it looks at, reads everything.

`python -m benchmarks.viewer SOCKET RATE` is the viewer beside a worker: one line on stdout when counting has begun
(the first tick is there), then it reads until the program ends. `crowds` uses the parts.
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
    """A connection to a probe that may not be there yet."""
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
    """Says what this viewer looks at."""
    sock.sendall(json.dumps({"type": "watch", **what}).encode() + b"\n")


def lines(sock: socket.socket) -> Iterator[bytes]:
    """The frames as they come, undecoded, until the probe closes."""
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
            # What counts less costs less: such a run says nothing.
            sys.exit(f"hooks of the probe are off: {off}")
        if is_tick(line) and not begun:
            begun = True
            sys.stdout.write("watching\n")
            sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
