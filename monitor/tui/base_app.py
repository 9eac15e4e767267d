"""The base of both apps: palette, type-ahead keys, and a clean end when the terminal is lost."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from textual.app import ReturnType

from monitor.errors import LooptopError
from monitor.terminal import hung_up
from monitor.tui.base import theme
from monitor.tui.terminal.crash import crashed
from monitor.tui.terminal.key_queue import KeyQueueApp
from monitor.tui.terminal.lost_terminal import outlives_its_terminal

if TYPE_CHECKING:
    from textual.driver import Driver


TERMINAL_EVERY = 1.0
"""Seconds between two checks whether the terminal is still there."""


class BaseApp(KeyQueueApp[ReturnType]):
    """An app with the palette that the screens draw with."""

    TITLE = "looptop"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, *, no_color: bool) -> None:
        super().__init__(ansi_color=True if no_color else None)
        self.animation_level = "none"
        self.plain = no_color
        self.register_theme(theme.THEME)
        self.theme = theme.PLAIN_THEME if no_color else theme.THEME.name
        self.palette = self._make_palette()

    def get_driver_class(self) -> type[Driver]:
        """The driver of the platform, made to survive a lost terminal."""
        return outlives_its_terminal(super().get_driver_class())

    def show(self) -> ReturnType | None:
        """Runs the app and returns its result. Raises CrashError for an exception that escaped from a screen."""
        try:
            result = self.run()
        except LooptopError:
            raise
        except Exception as error:
            raise crashed(error) from error
        if self._exception is not None:
            raise crashed(self._exception) from self._exception
        return result

    def _handle_exception(self, error: Exception) -> None:
        """Exits after an exception. Textual would print it with all frames and their local variables."""
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    def on_mount(self) -> None:
        """Subscribes to theme changes."""
        self.theme_changed_signal.subscribe(self, lambda _: self._theme_changed())

    def end_with_others(self) -> None:
        """Exits on SIGTERM and SIGHUP, restoring the screen, and when the terminal was closed."""
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None:
                loop.add_signal_handler(number, self.exit, None, 128 + number)
        self.set_interval(TERMINAL_EVERY, self._check_terminal)

    def _check_terminal(self) -> None:
        """Exits with the status of SIGHUP if the terminal has gone, since the signal does not always come."""
        number = getattr(self._driver, "fileno", None)
        if isinstance(number, int) and hung_up(number):
            self.exit(None, 128 + signal.SIGHUP)

    def update_now(self) -> None:
        """Repaints the visible screen."""
        raise NotImplementedError

    def _make_palette(self) -> theme.Palette:
        return theme.plain() if self.plain or self.current_theme.ansi else theme.coloured(self.get_css_variables())

    def _theme_changed(self) -> None:
        self.palette = self._make_palette()
        self.update_now()
