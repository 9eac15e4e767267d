"""The command that leads to the other side: its process, its pipes, what it wrote to stderr, and why it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import IO

from monitor.errors import ConnectError, LooptopError, Unreachable
from monitor.remote import place, sent
from monitor.remote.answers import last_line, status_text

LAST_BYTES = 4096
"""Bytes kept of what it wrote to stderr, and looked at of what it wrote instead of an answer."""
FAREWELL = 1.0
"""Seconds for the command to end when its stdin closes."""


class Command:
    """A running command. Its pipes do not block. Its stderr is kept as far as the last lines tell why it ended."""

    def __init__(self, text: str, bundle: int, alone: bool) -> None:
        """Start it; it will read a bundle of that many bytes. `alone`: without a terminal. Raises ConnectError."""
        self.text = text
        self._process = _spawn([*place.words(text), *sent.options(bundle)], alone)
        self.stdin, self.stdout, self.stderr = (
            _not_blocking(pipe) for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        self._errors = bytearray()

    def read_errors(self) -> bool:
        """Read what it has written to stderr; whether there may be more."""
        try:
            data = os.read(self.stderr, 1 << 16)
        except BlockingIOError:
            return True
        self._errors += data
        del self._errors[:-LAST_BYTES]
        return bool(data)

    def last_error(self) -> str:
        """The last line that it wrote to stderr."""
        return last_line(self._errors)

    def why_ended(self, noise: bytearray | None) -> LooptopError:
        """Why it has closed its stdout. `noise`: what it had written there, if the relay never answered."""
        self._read_last_errors()
        error, status = self.last_error(), self._process.returncode
        if noise is None:
            return Unreachable(f"the connection through {self.text} has ended", error or status_text(status))
        _, old, version = error.partition("looptop-relay: ")
        if old:
            text = f"{self.text}: {version} there is too old"
            return ConnectError(text, "3.8 or later is needed: end --via with the path of one")
        if status in (126, 127):
            python = place.words(self.text)[-1]
            return ConnectError(f"{self.text}: no {python} there", error or "end --via with the path of one")
        return ConnectError(f"{self.text} leads to no Python", error or last_line(noise) or status_text(status))

    def end(self) -> None:
        """Close its pipes. Without its stdin it ends; else it is terminated."""
        process = self._process
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(FAREWELL)

    def _read_last_errors(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FAREWELL)
        with contextlib.suppress(OSError):
            while data := os.read(self.stderr, 1 << 16):
                self._errors += data
        del self._errors[:-LAST_BYTES]


def _not_blocking(pipe: IO[bytes] | None) -> int:
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    return pipe.fileno()


def _spawn(argv: list[str], alone: bool) -> subprocess.Popen[bytes]:
    """Start the command. Ctrl+C is for looptop, which may have to finish a file; the command ends with its stdin."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return subprocess.Popen(  # noqa: S603
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=alone,
        )
    except OSError as error:
        raise ConnectError(f"{argv[0]} cannot be run", error.strerror or str(error)) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
