"""Creates the probe of a process, and cleans up when the process exits or forks."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from .base import settings as _settings
from .probe import Probe

if TYPE_CHECKING:
    from collections.abc import Callable


def start(given: dict[str, Any]) -> Probe:
    """Starts a probe with the given settings and those of the environment."""
    probe = make(given)
    _hush_forks()
    probe.start()
    return probe


_hushed = False


def _hush_forks() -> None:
    """Registers the fork hooks of fork_warning.py, once: `os.register_at_fork` cannot be undone."""
    global _hushed
    if sys.version_info >= (3, 12) and not _hushed:
        # With these globals the functions find the probe, and keep no module of this package alive.
        known = {"sys": sys, "__builtins__": {"getattr": getattr}}
        begin, end = (FunctionType(function.__code__, known) for function in (_begin_fork, _end_fork))
        os.register_at_fork(before=begin, after_in_parent=end, after_in_child=end)
        _hushed = True


def _begin_fork() -> None:
    probe = getattr(sys, "_looptop_probe", None)
    if probe is not None:
        probe.hush.begin()


def _end_fork() -> None:
    probe = getattr(sys, "_looptop_probe", None)
    if probe is not None and sys.version_info < (3, 13):
        probe.hush.end()


def make(given: dict[str, Any], pass_fds: bool = False) -> Probe:
    """Creates the probe of this process. Call its `start`, or `get_ready` and then `serve` in a thread of its own."""
    probe = Probe(_settings.from_environment(os.environ, given), pass_fds)
    sys._looptop_probe = probe  # type: ignore[attr-defined]

    def at_exit() -> None:
        probe.exit("exited")

    at_fork = AtFork(probe, at_exit)
    at_fork.listen()

    def at_end() -> None:
        atexit.unregister(at_exit)
        at_fork.forget()

    atexit.register(at_exit)
    probe.on_end = at_end
    return probe


class AtFork:
    """Calls the probe in the child after a fork, and can be unregistered.

    `os.register_at_fork` cannot be undone, so every probe would leave something behind in the program. `logging`, which
    asyncio imports, calls its handlers after a fork and keeps only weak references to them.
    """

    __slots__ = ("__weakref__", "_at_exit", "_probe")

    def __init__(self, probe: Probe, at_exit: Callable[[], None]) -> None:
        self._probe = probe
        self._at_exit = at_exit

    def listen(self) -> None:
        """Register the handlers for forks."""
        try:
            logging._register_at_fork_reinit_lock(self)  # type: ignore[attr-defined]
        except Exception:
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._at_fork_reinit)

    def forget(self) -> None:
        """Unregisters. Not to be called in the child while logging iterates over its handlers."""
        try:
            logging._at_fork_reinit_lock_weakset.discard(self)  # type: ignore[attr-defined]
        except Exception:
            return

    def _at_fork_reinit(self) -> None:
        """Called by logging in the child."""
        try:
            if getattr(sys, "_looptop_probe", None) is self._probe:
                self._probe.forked()
                atexit.unregister(self._at_exit)
        except Exception:
            return
