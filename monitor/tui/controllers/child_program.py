"""Follows a program under `looptop run`: its output, its end, and the request to stop it."""

from __future__ import annotations

from monitor.tui.base.program import Program
from monitor.tui.terminal.captured import Captured


class ChildProgram:
    """Polls the program once a tick."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.output = Captured()
        self.ended_at: float | None = None
        self.leaving = False

    def poll(self, now: float) -> bool:
        """Takes in new output; True if the user wants to quit and the program has ended."""
        lines = self.program.output()
        if lines:
            self.output.add(lines)
        if not self.program.running and self.ended_at is None:
            self.ended_at = now
        return self.leaving and not self.program.running

    def stop(self) -> None:
        """Asks the program to end, with a stronger signal each time; the dashboard exits after it."""
        self.leaving = True
        self.program.stop()
