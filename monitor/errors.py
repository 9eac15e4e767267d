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


class Closed(ConnectError):  # noqa: N818 - not always an error
    """The other side closed the connection."""


class WayLost(Closed):
    """What led to the other side has ended, so it is unknown how the program is."""


class Unreachable(ConnectError):  # noqa: N818 - a state of the network
    """The other side does not answer, so it is unknown whether a probe is there."""


class ProcessGone(ConnectError):  # noqa: N818 - names the event
    """The process of a target does not exist (any more); retrying cannot help."""


class NoProbe(ConnectError):  # noqa: N818 - names what is missing
    """The process could be watched, but has no probe."""


class ProbeGone(ConnectError):  # noqa: N818 - names the event
    """The probe of a process has gone since it was found."""

    @classmethod
    def of(cls, pid: int) -> ProbeGone:
        """The error for a process."""
        return cls(f"process {pid} no longer has a probe", "looptop attach injects one again")
