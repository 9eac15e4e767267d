"""Ctrl+Z: suspending to the shell and returning with `fg`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App


def shell_waits() -> bool:
    """Whether a shell with job control could resume looptop."""
    import psutil  # type: ignore[import-untyped]  # no first screen needs it

    mine, session = os.getpgrp(), os.getsid(0)
    for above in psutil.Process().parents():
        try:
            if os.getpgid(above.pid) != mine:
                return os.getsid(above.pid) == session
        except OSError:
            return False
    return False


def to_the_shell() -> None:
    """Stops the process group, as a terminal does. Textual restores the terminal, and takes it again later."""
    os.killpg(0, signal.SIGTSTP)


def repaint(app: App[Any]) -> None:
    """Repaints all widgets: after a suspension the terminal is empty, and Textual paints changes only."""
    for screen in app.screen_stack:
        for widget in screen.walk_children(with_self=True):
            widget.refresh()
