"""Exchanges data with the injected code through a memory file of the target, which only has a name in /proc/PID/fd."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.transport import memory_file
from monitor.transport.memory_file import MemoryFile

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 1 << 16
"""Bytes of the longest answer. The parts follow it in the file."""

WANTED, GIVEN, TAKEN = b"parts?\n", b"parts!\n", b"taken!\n"
_MOST_TEXT, _MOST_TEXTS = 1000, 20


@dataclass(frozen=True, slots=True)
class BootstrapResult:
    """The injected code's answer. The program may have forged it, so each value is type-checked and bounded."""

    how: str = ""  # started or found
    listen_fd: int | None = None
    session: str = ""
    socket: str = ""
    name: str = ""
    program: str = ""
    python: str = ""
    loops: int | None = None
    stays: bool = False  # also with nobody connected
    warnings: tuple[str, ...] = ()
    refused: str = ""
    error: str = ""


def read(text: bytes) -> BootstrapResult:
    """Parse an answer. Raises ValueError if it is not one."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return BootstrapResult(error="it answered nonsense")
    texts = {key: _text(fields.get(key)) for key in ("how", "session", "name", "program", "python", "refused", "error")}
    lines, socket = fields.get("warnings"), fields.get("socket")
    return BootstrapResult(
        **texts,
        socket=socket[:_MOST_TEXT] if isinstance(socket, str) else "",
        listen_fd=_number(fields.get("listen_fd")),
        loops=_number(fields.get("loops")),
        stays=fields.get("stays") == 1,
        warnings=tuple(_text(line) for line in lines[:_MOST_TEXTS]) if isinstance(lines, list) else (),
    )


def _text(value: Any) -> str:
    """The text without terminal control characters."""
    text = value[:_MOST_TEXT] if isinstance(value, str) else ""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None


class Answer:
    """Waits for the answer in /proc/PID/fd and reads it once; marks it as taken where the target waits for that.

    A new probe first requests its modules through the same file.
    """

    def __init__(self, pid: int, name: str, parts: bytes) -> None:
        self._pid = pid
        self._name = name
        self._parts = parts
        self.seen = False  # whether the injected code runs
        self.result: BootstrapResult | None = None

    def wait(self, until: float, cancelled: Callable[[], bool] = lambda: False) -> BootstrapResult | None:
        """Wait for the answer; None on timeout. Raises ProcessLookupError when the process has ended."""
        pause = 0.001
        while not self.check():
            if time.monotonic() > until or cancelled():
                return None
            time.sleep(pause)
            pause = min(pause * 1.3, 0.02)
        return self.result

    def check(self) -> bool:
        """Check once whether the answer is complete."""
        if self.result is not None:
            return True
        try:
            numbers = memory_file.numbers(self._pid)
        except FileNotFoundError:
            raise ProcessLookupError from None
        except OSError:
            return False
        for number in numbers:
            if memory_file.named(self._pid, number, self._name):
                try:
                    with MemoryFile(self._pid, number, self._name) as file:
                        self._take(file)
                except OSError:
                    continue
                return self.result is not None
        return False

    def _take(self, file: MemoryFile) -> None:
        self.seen = True
        text = file.read(LONGEST)
        if text.startswith((GIVEN, TAKEN)) or not text.endswith(b"\n"):
            return  # not all of it is there yet
        if text == WANTED:
            file.write((LONGEST, self._parts), (0, GIVEN))
            return
        result = read(text)
        if result.how != "started":  # otherwise the probe keeps the file for other viewers
            file.write((0, TAKEN))
        self.result = result
