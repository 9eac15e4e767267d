"""Recognizes a clean stop of uvicorn, after which no exit handler runs.

When uvicorn was asked to stop by a signal, it shuts down, restores the handlers that were there before, and raises the
signal on itself (`Server.capture_signals`, since 0.29). SIGTERM ends the process there, as if it had been killed.
Just before that it reads `Server._captured_signals`, which is made a property. That leaves no frame in a traceback.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_ATTRIBUTE, _READER = "_captured_signals", "capture_signals"


class OrderlyEnd:
    """Calls `end(how)`, in the program's main thread, before uvicorn ends the process in order."""

    def __init__(self, end: Callable[[str], None]) -> None:
        self._end = end
        self._server: Any = None
        self._property: property | None = None

    def look(self) -> None:
        """Begins once uvicorn is loaded. Called again and again."""
        if self._property is not None:
            return
        server = getattr(sys.modules.get("uvicorn.server"), "Server", None)
        if isinstance(server, type) and _ATTRIBUTE not in vars(server) and hasattr(server, _READER):
            self._server, self._property = server, _watched(self._end)
            setattr(server, _ATTRIBUTE, self._property)

    def forget(self) -> None:
        """Takes the property away again."""
        server, found = self._server, self._property
        self._server = self._property = None
        if server is not None and vars(server).get(_ATTRIBUTE) is found:
            delattr(server, _ATTRIBUTE)


def _watched(end: Callable[[str], None]) -> property:
    def read(server: Any) -> Any:
        try:
            signals = vars(server)[_ATTRIBUTE]
        except KeyError:
            raise AttributeError(_ATTRIBUTE) from None
        try:
            if signals and sys._getframe(1).f_code.co_name == _READER and _is_in_order(server, signals[-1]):
                end(f"ended in order ({signal.Signals(signals[-1]).name})")
        except Exception:  # uvicorn has changed: then nothing is known of its end
            return signals
        return signals

    def write(server: Any, signals: Any) -> None:
        vars(server)[_ATTRIBUTE] = signals

    return property(read, write)


def _is_in_order(server: Any, raised: int) -> bool:
    """Whether the signal will end the process, and nothing was left or failed when the server shut down."""
    if signal.getsignal(raised) is not signal.SIG_DFL or raised in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        return False
    state = server.server_state
    failed = server.force_exit or server.lifespan.should_exit
    return bool(server.started and not failed and not state.tasks and not state.connections)
