"""What is exchanged with the text on the other side, by a file in the process that only has a name there."""

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
"""Bytes of an answer. The parts lie behind them."""

WANTED, GIVEN, TAKEN = b"parts?\n", b"parts!\n", b"taken!\n"
_MOST_TEXT, _MOST_TEXTS = 1000, 20


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says. The program may have chosen all of it, so each value is of its type and bounded."""

    how: str = ""  # started or found
    door: int | None = None
    session: str = ""
    socket: str = ""
    name: str = ""
    program: str = ""
    python: str = ""
    loops: int | None = None
    stays: bool = False  # also with nobody connected
    told: tuple[str, ...] = ()
    refused: str = ""
    error: str = ""


def read(text: bytes) -> Told:
    """What an answer says; an error for what is none."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return Told(error="it answered nonsense")
    texts = {key: _text(told.get(key)) for key in ("how", "session", "name", "program", "python", "refused", "error")}
    lines, socket = told.get("told"), told.get("socket")
    return Told(
        **texts,
        socket=socket[:_MOST_TEXT] if isinstance(socket, str) else "",
        door=_number(told.get("door")),
        loops=_number(told.get("loops")),
        stays=told.get("stays") == 1,
        told=tuple(_text(line) for line in lines[:_MOST_TEXTS]) if isinstance(lines, list) else (),
    )


def _text(value: Any) -> str:
    """Without what steers a terminal."""
    text = value[:_MOST_TEXT] if isinstance(value, str) else ""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None


class Answer:
    """Looked for in /proc/PID/fd and taken once; marked as taken where the other side waits for that, to close it.

    A new probe asks for its parts first, in the same file.
    """

    def __init__(self, pid: int, name: str, parts: bytes) -> None:
        self._pid = pid
        self._name = name
        self._parts = parts
        self.seen = False  # whether the text runs on the other side
        self.told: Told | None = None

    def wait(self, until: float, cancelled: Callable[[], bool] = lambda: False) -> Told | None:
        """The answer; None when it did not come in time. Raises ProcessLookupError when the process has ended."""
        pause = 0.001
        while not self.look():
            if time.monotonic() > until or cancelled():
                return None
            time.sleep(pause)
            pause = min(pause * 1.3, 0.02)
        return self.told

    def look(self) -> bool:
        """Whether it is there."""
        if self.told is not None:
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
                return self.told is not None
        return False

    def _take(self, file: MemoryFile) -> None:
        self.seen = True
        text = file.read(LONGEST)
        if text.startswith((GIVEN, TAKEN)) or not text.endswith(b"\n"):
            return  # not all of it is there yet
        if text == WANTED:
            file.write((LONGEST, self._parts), (0, GIVEN))
            return
        told = read(text)
        if told.how != "started":  # else the probe keeps it, for other viewers
            file.write((0, TAKEN))
        self.told = told
