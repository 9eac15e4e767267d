"""Connects to a TARGET: through its probe, by injecting one, or read-only from outside if that is not possible."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.errors import Closed, ConnectError, NoProbe, ProbeGone, ProcessGone, UsageError
from monitor.remote import place

if TYPE_CHECKING:
    from monitor.attach.injector import Injector
    from monitor.transport.connection import Connection

ASKED = "as asked"
TRIES = 4
PAUSE = 0.15
"""Seconds between two tries: a probe that another viewer is removing has gone by then, and a new one is injected."""


def open_target(target: str, token_file: str | None = None, injector: Injector | None = None) -> Connection:
    """Connect to a TARGET of this machine or another one; `injector` puts a probe into a pid that has none.

    Raises LooptopError.
    """
    there = place.split(target)
    if there is not None:
        from monitor.attach import elsewhere

        return elsewhere.connect(*there, token_file, injector)
    from monitor.attach.targets import resolve
    from monitor.transport.connection import connect

    return connect(resolve(target, inject=None if injector is None else injector.inject), token_file)


@dataclass(slots=True)
class TargetConnector:
    """A target and how to connect to it, at first and after the connection breaks."""

    target: str
    token_file: str | None = None
    injector: Injector | None = None  # None: only if it already has a probe
    read_only: bool = False
    _outside: str | None = field(default=None, init=False)  # why it is read from outside, once it is

    def connect(self) -> Connection:
        """Open the connection. Only this injects a probe: one that was removed later stays out.

        If nothing can be injected, the tasks are read from outside if possible. Raises LooptopError.
        """
        if self.read_only:
            return self._read(ASKED)
        try:
            return self._connect(may_inject=True)
        except (ProcessGone, UsageError):
            raise
        except ConnectError as refused:
            if self.injector is None or self.injector.method != "auto" or not self._can_be_read():
                raise
            try:
                return self._read(refused.message)
            except ConnectError:
                raise refused from None

    def reconnect(self) -> Connection:
        """Reconnect the same way."""
        if self._outside is not None:
            return self._read(self._outside)
        try:
            return self._connect(may_inject=False)
        except NoProbe as left:
            if self.injector is None:
                raise
            # Removed by somebody, or gone because the program executed another one under the same pid.
            raise NoProbe(f"{self.target} no longer has a probe", f"q, then looptop attach {self.target}") from left

    def _connect(self, may_inject: bool) -> Connection:
        injector = self.injector if may_inject else None
        for tries_left in reversed(range(TRIES)):
            try:
                return open_target(self.target, self.token_file, injector)
            except (Closed, ProbeGone):
                if injector is None or not tries_left:
                    raise
                time.sleep(PAUSE)
        raise AssertionError  # the last try returns or raises

    def _read(self, why: str) -> Connection:
        there = place.split(self.target)
        if there is None:
            from monitor.attach.outside import pid_of
            from monitor.attach.readonly import open_readonly

            connection = open_readonly(pid_of(self.target), why)
        else:
            from monitor.attach import elsewhere

            connection = elsewhere.read(*there, why)
        self._outside = why
        return connection

    def _can_be_read(self) -> bool:
        """Whether reading from outside is worth a try after an injection was refused."""
        there = place.split(self.target)
        pid = self.target if there is None else there[0]
        if not (pid.isascii() and pid.isdigit()):
            return False
        if there is None:
            from monitor.attach.outside import why_not

            return why_not(int(pid)) is None
        from monitor.remote.links import is_up

        return is_up(there[1])  # else it is the way there that was refused
