"""The way to a TARGET: through its probe, by putting one in, or from outside where nothing may be put in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.attach.targets import Gone, NoProbe
from monitor.errors import ConnectError, Left, UsageError

if TYPE_CHECKING:
    from monitor.attach.injection import Way
    from monitor.transport.connection import Connection

ASKED = "as asked"
TRIES = 4
PAUSE = 0.15
"""Seconds between two: a probe that another viewer takes out meanwhile has gone by then, and a new one is put in."""


@dataclass(slots=True)
class Reach:
    """A target and how to get to it: at first, and again when the connection breaks."""

    target: str
    token_file: str | None = None
    way: Way | None = None  # None: only a program that has a probe
    read_only: bool = False
    _outside: str | None = field(default=None, init=False)  # why it is read from outside, once that is so

    def first(self) -> Connection:
        """Opens the connection. A probe is put in only here: one that was taken out again stays out.

        Where nothing can be put in, the tasks are read from outside if that is possible. Raises LooptopError.
        """
        if self.read_only:
            return self._read(self._pid(), ASKED)
        try:
            return self._connect(enter=True)
        except (Gone, UsageError):
            raise
        except ConnectError as refused:
            if self.way is None or self.way.method != "auto" or not self.target.isdigit():
                raise
            why = why_not_read(int(self.target))
            if why is not None:
                raise
            return self._read(int(self.target), refused.message)

    def again(self) -> Connection:
        """Opens it once more, the same way."""
        if self._outside is not None:
            return self._read(self._pid(), self._outside)
        try:
            return self._connect(enter=False)
        except NoProbe as left:
            if self.way is None:
                raise
            # Taken out by somebody, or gone with the program when that executed another one under its pid.
            raise NoProbe(f"{self.target} has no probe any more", f"q, then looptop attach {self.target}") from left

    def _connect(self, enter: bool) -> Connection:
        from monitor.attach.targets import resolve
        from monitor.transport.connection import Closed, connect

        way = self.way.enter if enter and self.way is not None else None
        for tries_left in reversed(range(TRIES)):
            try:
                return connect(resolve(self.target, enter=way), self.token_file)
            except (Closed, Left):
                if way is None or not tries_left:
                    raise
                time.sleep(PAUSE)
        raise AssertionError  # the last try returns or raises

    def _read(self, pid: int, why: str) -> Connection:
        from monitor.attach.readonly import open_readonly

        connection = open_readonly(pid, why)
        self._outside = why
        return connection

    def _pid(self) -> int:
        """The process of the target. Raises UsageError for a target that is not a process of this machine."""
        from monitor.attach.targets import resolve

        if self.target.isascii() and self.target.isdigit():
            return int(self.target)
        pid = resolve(self.target).pid if self.target.startswith("@") else None
        if pid is None:
            raise UsageError("--read-only is for a program of this machine", "give its pid, or @NAME")
        return pid


def why_not_read(pid: int) -> str | None:
    """Why a process cannot be read from outside; None when it can, as far as that is seen beforehand."""
    from monitor.attach.readonly import why_not

    return why_not(pid)
