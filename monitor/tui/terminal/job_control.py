"""Ctrl+Z: to the shell, which brings back with `fg`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App


def shell_waits() -> bool:
    """Whether there is a shell with job control above: who stops without one is never woken."""
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
    """Stops us and who runs with us, as a terminal does; Textual leaves the terminal as it was, and takes it again."""
    os.killpg(0, signal.SIGTSTP)


def repaint(app: App[Any]) -> None:
    """Paints all of the screen: a terminal that one comes back to is empty, and else only what changed is painted."""
    for screen in app.screen_stack:
        for widget in screen.walk_children(with_self=True):
            widget.refresh()
