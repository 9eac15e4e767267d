"""Ctrl-C while a command watches for a duration: the first one ends the watching and the result is printed."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_asked = threading.Event()


def asked() -> bool:
    """Whether Ctrl-C has ended the watching; then the exit status is that of an interrupted command."""
    return _asked.is_set()


def forget() -> None:
    """Forget an earlier Ctrl-C, since another command begins in this process."""
    _asked.clear()


@contextmanager
def possible() -> Iterator[None]:
    """Inside, the first Ctrl-C only makes `asked` true, for all threads; the second one raises KeyboardInterrupt.

    Does nothing in other threads than the main one, and where Ctrl-C is not handled as usual.
    """
    usual = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not usual:
        yield
        return

    def once(number: int, frame: object) -> None:  # noqa: ARG001 - of a signal handler
        signal.signal(signal.SIGINT, usual)
        _asked.set()

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
