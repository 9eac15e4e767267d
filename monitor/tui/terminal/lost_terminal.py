"""Survives a lost terminal: output is then dropped without blocking, and the app exits.

Textual 8.2 writes in a thread that ends at the first error; after that every write waits forever for room in its queue,
and neither the dashboard nor the program below it can end. Its input thread spins at the end of a closed terminal.
SIGHUP does not always report a closed terminal: it may not be the controlling one, or a parent may block the signal.
"""

from __future__ import annotations

import asyncio
from typing import IO, TYPE_CHECKING, Any

from monitor.terminal import hung_up

if TYPE_CHECKING:
    from textual.driver import Driver


class Terminal:
    """The file of a terminal, for Textual's writer thread."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.gone = False

    def write(self, text: str) -> None:
        """Writes, unless the terminal has gone."""
        if not self.gone:
            try:
                self._file.write(text)
            except (OSError, ValueError):
                self.gone = True

    def flush(self) -> None:
        """Flushes, unless the terminal has gone."""
        if not self.gone:
            try:
                self._file.flush()
            except (OSError, ValueError):
                self.gone = True

    def fileno(self) -> int:
        """The file descriptor of the terminal."""
        return self._file.fileno()


def outlives_its_terminal(driver: type[Driver]) -> type[Driver]:
    """Makes a driver class that exits cleanly when its terminal has gone."""

    class HangupSafeDriver(driver):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            file: IO[str] | None = getattr(self, "_file", None)
            if file is not None:
                self._file = Terminal(file)

        def _run_input_thread(self) -> None:
            """Makes the app report an exception of this thread, since Textual would print it with all frames."""
            try:
                self.run_input_thread()
            except Exception as error:  # noqa: BLE001 - the app reports it
                if not hung_up(self.fileno):
                    self._app.call_later(self._app._handle_exception, error)  # noqa: SLF001 - as Textual does

        def _sigcont_application(self, *_: Any) -> None:
            """Works around Textual 8.2, which starts a second input thread on a SIGCONT that it did not expect.

            The kernel also sends SIGCONT with the SIGHUP of a closed terminal, and that thread would outlive the app.
            """
            if self._must_signal_resume:
                super()._sigcont_application()
            elif self._app.is_running:
                asyncio.run_coroutine_threadsafe(self._app._post_message(self.SignalResume()), self._loop)  # noqa: SLF001 - as Textual does

    return HangupSafeDriver
