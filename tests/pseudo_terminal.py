"""looptop as a process in a pseudo-terminal: press keys, wait for what it draws, and see how it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

_CODES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][A-B0-9]")


class PseudoTerminal:
    """A terminal with one process in it. `drawn` is what came since the last `press` or since it was emptied."""

    def __init__(
        self, command: Sequence[str], columns: int = 80, lines: int = 24, cwd: Path | None = None, **environment: str
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none", **environment},
            start_new_session=True,
        )
        os.close(slave)
        self.drawn = b""
        self._closed = False

    def press(self, keys: str) -> None:
        self.drawn = b""
        os.write(self.master, keys.encode())

    def until(self, wanted: str | bytes, seconds: float = 60.0) -> None:
        """Read until this was drawn, with or without codes in between."""
        text = wanted.encode() if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + seconds
        while text not in self.drawn and text not in _CODES.sub(b"", self.drawn):
            assert time.monotonic() < deadline, (wanted, _CODES.sub(b"", self.drawn)[-3000:])
            self._read(0.5)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.drawn += data
        return bool(data)

    def end(self) -> int:
        """Read to its end, and return the exit status."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            if not self._read(0.2):
                break
        status = self.process.wait(60)
        while self._read(0.0) and select.select([self.master], [], [], 0)[0]:
            pass
        self.close()
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if not self._closed:
            self._closed = True
            os.close(self.master)
