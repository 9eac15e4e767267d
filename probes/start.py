"""Starts the one probe of a process, and makes sure that its end and its forks are clean."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import Any

from . import settings as _settings
from .probe import Probe


def start(given: dict[str, Any]) -> Probe:
    """Makes a probe with the given settings and those of the environment."""
    probe = Probe(_settings.from_environment(os.environ, given))
    sys._looptop_probe = probe  # type: ignore[attr-defined]
    probe.start()
    atexit.register(probe.stop)
    probe.on_end = lambda: atexit.unregister(probe.stop)
    alive = weakref.ref(probe)

    def forked() -> None:
        ours = alive()
        if ours is not None:
            ours.forked()
            atexit.unregister(ours.stop)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forked)
    return probe
