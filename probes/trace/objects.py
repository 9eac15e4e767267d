"""Describes objects that tasks wait on: by peer, process or type, and the name that a module has for them.

Runs in the program's thread, once per object and at most a hundred times a second. Calls no code of the program.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from ..hooks import install
from ..inspection.library_waits import held, peer, wire

MOST = 20_000
"""Limit of names; the newest are kept."""
MOST_GLOBALS = 2000
_PLAIN = ("_asyncio", "asyncio.futures", "asyncio.locks", "asyncio.queues", "asyncio.taskgroups", "asyncio.tasks")


class ObjectNames:
    """Names by number, in the order of assignment."""

    def __init__(self) -> None:
        self._names: deque[tuple[int, int, str]] = deque(maxlen=MOST)  # with their places in that order, from 1 on
        self._given = 0

    def name(self, number: int, thing: Any, variables: Any) -> None:
        """Remembers a name for an object; `variables` are the globals of the line that waits, or None."""
        try:
            text = name_of(thing, variables)
            self._given = place = self._given + 1
            self._names.append((place, number, text))
        except Exception as error:
            install.state.on_error("trace", error)

    def since(self, known: int) -> tuple[int, list[tuple[int, str]]]:
        """Number of names so far, and the kept ones after the first `known`."""
        names = list(self._names)  # one reading: a count of its own may have grown already, or not yet
        given = names[-1][0] if names else 0
        return given, [(number, text) for place, number, text in names if place > known] if given > known else []


def name_of(thing: Any, variables: Any = None) -> str:
    """A peer's address, a process with its id, or the type, with its name among `variables`."""
    kind, module = type(thing).__name__, type(thing).__module__
    if module not in _PLAIN:
        if module == "socket":
            return peer(thing).strip() or kind
        text = wire(thing)  # "fd 7 127.0.0.1:5432"
        if text:
            return text.split(" ", 2)[2] if text.count(" ") > 1 else text
        pid = held(thing, "pid")
        if isinstance(pid, int):
            return f"process {pid}"
    if isinstance(variables, dict) and len(variables) <= MOST_GLOBALS:
        for name, value in list(variables.items()):
            if value is thing and isinstance(name, str):
                return f"{kind} {name}"
    return kind
