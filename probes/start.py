"""Starts the one probe of a process, and makes sure that its end and its forks are clean."""

from __future__ import annotations

import atexit
import os
import sys
from types import FunctionType
from typing import Any

from . import settings as _settings
from .probe import Probe


def start(given: dict[str, Any]) -> Probe:
    """Starts a probe with the given settings and those of the environment."""
    probe = make(given)
    probe.start()
    return probe


def make(given: dict[str, Any], door: bool = False) -> Probe:
    """The probe of this process: to be started, or to be got ready and served by the thread that calls this."""
    probe = Probe(_settings.from_environment(os.environ, given), door)
    sys._looptop_probe = probe  # type: ignore[attr-defined]

    def at_exit() -> None:
        probe.on_gone = _nothing  # no time to tidy: all of it goes now
        probe.stop()

    atexit.register(at_exit)
    probe.on_end = lambda: atexit.unregister(at_exit)
    if hasattr(os, "register_at_fork"):
        # It can not be unregistered: so it knows the way to the probe, and keeps nothing of us alive. Without
        # builtins of its own it would get those of this module, and with them the modules of an injected probe.
        known = {"sys": sys, "__builtins__": {"getattr": getattr}}
        os.register_at_fork(after_in_child=FunctionType(_forked.__code__, known))
    return probe


def _nothing() -> None:
    pass


def _forked() -> None:
    probe = getattr(sys, "_looptop_probe", None)
    if probe is not None:
        probe.forked()
        probe.on_end()
