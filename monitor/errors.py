"""What can go wrong on the person's side, each with the next step to take and an exit status."""

from __future__ import annotations

USAGE = 2
NO_CONNECTION = 3
BUG = 70


class LooptopError(Exception):
    """One line for a person: what is wrong, and what to do about it."""

    status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class UsageError(LooptopError):
    """The command line, a filter or a setting is wrong."""

    status = USAGE


class ConnectError(LooptopError):
    """The program asked for could not be reached."""

    status = NO_CONNECTION


class Left(ConnectError):  # noqa: N818 - it is what the probe has done
    """The probe of a process has gone since it was found."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"the probe of process {pid} has left", "looptop attach puts one in again")
