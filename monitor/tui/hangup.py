"""A terminal that may go away: what is written to it then is lost, and nobody waits for it.

Textual writes in a thread of its own, which ends at the first error; whoever writes after that waits for room in its
queue, for good, and with it the end of the dashboard and of the program below it.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.driver import Driver


class Terminal:
    """The file of a terminal, for the thread that writes."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.gone = False

    def write(self, text: str) -> None:
        """Writes, as long as there is somebody to read it."""
        if not self.gone:
            try:
                self._file.write(text)
            except (OSError, ValueError):
                self.gone = True

    def flush(self) -> None:
        """Flushes, likewise."""
        if not self.gone:
            try:
                self._file.flush()
            except (OSError, ValueError):
                self.gone = True

    def fileno(self) -> int:
        """That of the terminal."""
        return self._file.fileno()


def outlives_its_terminal(driver: type[Driver]) -> type[Driver]:
    """The same driver, which ends well although its terminal is gone."""

    class Outlives(driver):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            file: IO[str] | None = getattr(self, "_file", None)
            if file is not None:
                self._file = Terminal(file)

    return Outlives
