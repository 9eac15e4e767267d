"""What the dashboard knows of a program that looptop itself started. It prints, runs, ends and can be asked to stop."""

from __future__ import annotations

from typing import Protocol


class Program(Protocol):
    """A program under `looptop run`. No call blocks."""

    @property
    def running(self) -> bool:
        """Whether it still runs."""

    @property
    def exit_status(self) -> int | None:
        """Its exit status (negative: the signal that ended it), or None while it runs."""

    def output(self) -> list[str]:
        """The lines that it printed since the last call; they may contain escape sequences."""

    def stop(self) -> None:
        """Asks it to end: SIGINT first, harder each time it is asked again."""


def status_words(status: int | None) -> str:
    """How a program ended, in words."""
    if status is None:
        return "ended"
    if status < 0:
        return f"was ended by signal {-status}"
    return "ended well (status 0)" if status == 0 else f"ended with status {status}"
