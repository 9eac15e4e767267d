"""Errors of looptop itself, each with an exit status and the next step to take."""

from __future__ import annotations

USAGE = 2
NO_CONNECTION = 3
BUG = 70


class LooptopError(Exception):
    """An error shown to the user as one line: what is wrong, and a hint what to do about it."""

    status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class UsageError(LooptopError):
    """A bad command line, filter or setting."""

    status = USAGE


class ConnectError(LooptopError):
    """The program could not be reached."""

    status = NO_CONNECTION


class ProbeGone(ConnectError):  # noqa: N818 - names the event
    """The probe of a process has gone since it was found."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"process {pid} has no probe any more", "looptop attach injects one again")
