"""The interface of a program that looptop started: whether it runs, its output and exit status, and stopping it."""

from __future__ import annotations

from typing import Protocol


class Program(Protocol):
    """A program under `looptop run`. No method blocks."""

    @property
    def running(self) -> bool:
        """Whether the program is still running."""

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal, or None while the program is running."""

    def output(self) -> list[str]:
        """Returns the lines printed since the last call; they may contain escape sequences."""

    def stop(self) -> None:
        """Asks the program to end: SIGINT first, a stronger signal with each further call."""


def status_words(status: int | None) -> str:
    """Describes an exit status in words."""
    if status is None:
        return "ended"
    if status < 0:
        return f"was killed by signal {-status}"
    return "exited with status 0" if status == 0 else f"exited with status {status}"
