"""Makes the one probe of a process, and makes sure that its end and its forks are clean."""

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
    """Once, and not for a probe that is put in later: what is given to `os.register_at_fork` stays for ever."""
    global _hushed
    if sys.version_info >= (3, 12) and not _hushed:
        # They know the way to the probe, and keep nothing of us alive.
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


def make(given: dict[str, Any], door: bool = False) -> Probe:
    """The probe of this process: to be started, or to be got ready and served by the thread that calls this."""
    probe = Probe(_settings.from_environment(os.environ, given), door)
    sys._looptop_probe = probe  # type: ignore[attr-defined]

    def at_exit() -> None:
        probe.on_gone = _nothing  # no time to tidy: all of it goes now
        probe.stop()

    at_fork = AtFork(probe, at_exit)
    at_fork.listen()

    def at_end() -> None:
        atexit.unregister(at_exit)
        at_fork.forget()

    atexit.register(at_exit)
    probe.on_end = at_end
    return probe


def _nothing() -> None:
    pass


class AtFork:
    """Hears of forks in the child, and can be forgotten.

    What is given to `os.register_at_fork` stays for ever, so that every probe would leave a little in the program.
    `logging`, which asyncio needs, tells its handlers of forks, and forgets them when they go.
    """

    __slots__ = ("__weakref__", "_at_exit", "_probe")

    def __init__(self, probe: Probe, at_exit: Callable[[], None]) -> None:
        self._probe = probe
        self._at_exit = at_exit

    def listen(self) -> None:
        """From now on."""
        try:
            logging._register_at_fork_reinit_lock(self)  # type: ignore[attr-defined]
        except Exception:
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._at_fork_reinit)

    def forget(self) -> None:
        """No more. Not while logging goes through its list, which is in the child."""
        try:
            logging._at_fork_reinit_lock_weakset.discard(self)  # type: ignore[attr-defined]
        except Exception:
            return

    def _at_fork_reinit(self) -> None:
        """What logging calls."""
        try:
            if getattr(sys, "_looptop_probe", None) is self._probe:
                self._probe.forked()
                atexit.unregister(self._at_exit)
        except Exception:
            return
