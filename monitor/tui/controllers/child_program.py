"""The program under `looptop run`, as the dashboard follows it: its output, its end, the wish to stop it."""

from __future__ import annotations

from monitor.tui.base.program import Program
from monitor.tui.terminal.captured import Captured


class ChildProgram:
    """One program. Looked at once a tick."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.output = Captured()
        self.ended_at: float | None = None
        self.leaving = False

    def look(self, now: float) -> bool:
        """Takes in what was printed; True when the person wants to leave and the program has ended."""
        lines = self.program.output()
        if lines:
            self.output.add(lines)
        if not self.program.running and self.ended_at is None:
            self.ended_at = now
        return self.leaving and not self.program.running

    def stop(self) -> None:
        """Asks it to end, harder each time; the dashboard leaves when it has."""
        self.leaving = True
        self.program.stop()
