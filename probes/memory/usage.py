"""What the process uses: memory, file descriptors by kind, threads, context switches, and its garbage collector.

Read in the probe's thread (base/process.py), once a second while a viewer asks. The collector is timed by a callback in
`gc.callbacks`, which is there only meanwhile.
"""

from __future__ import annotations

import gc
from time import monotonic
from typing import Any

from ..base import process


class Collector:
    """Counts and times garbage collections while it is on."""

    def __init__(self) -> None:
        self.runs = [0, 0, 0]
        self.time = 0.0
        self.longest = 0.0
        self.collected = self.uncollectable = 0
        self._started = 0.0
        self._callback: Any = None

    def on(self) -> None:
        """Starts counting from zero."""
        if self._callback is not None:
            return
        self.runs = [0, 0, 0]
        self.time = self.longest = self._started = 0.0
        self.collected = self.uncollectable = 0
        self._callback = self._called  # one bound method object, so that `off` can find it
        gc.callbacks.append(self._callback)

    def off(self) -> None:
        """Removes the callback, at whatever index it is by now."""
        callback, self._callback = self._callback, None
        if callback is None:
            return
        for place, other in enumerate(gc.callbacks):
            if other is callback:
                del gc.callbacks[place]
                break

    def _called(self, phase: str, info: dict[str, int]) -> None:
        """Runs in whichever thread collects; collections do not nest."""
        if phase == "start":
            self._started = monotonic()
        elif self._started:
            took = monotonic() - self._started
            self._started = 0.0
            self.time += took
            self.longest = max(self.longest, took)
            self.runs[min(info["generation"], 2)] += 1
            self.collected += info["collected"]
            self.uncollectable += info["uncollectable"]

    def facts(self) -> dict[str, Any] | None:
        """The `collector` of the protocol; None while it is off."""
        if self._callback is None:
            return None
        return {
            "enabled": gc.isenabled(),
            "runs": list(self.runs),
            "time": round(self.time * 1e6),
            "longest": round(self.longest * 1e6),
            "collected": self.collected,
            "uncollectable": self.uncollectable,
        }


class Usage:
    """What the process uses now. Expensive figures are read less often."""

    def __init__(self) -> None:
        self._uss: int | None = None
        self._uss_due = 0.0

    def facts(self) -> dict[str, Any]:
        """The `usage` of the protocol. None for a figure that this system does not provide."""
        return {
            "rss": process.resident(),
            "uss": self._unshared(),
            "fds": process.descriptors_by_kind(),
            "threads": process.threads(),
            "switches": process.context_switches(),
        }

    def _unshared(self) -> int | None:
        """Takes the kernel long in large programs, so at most 1 % of the time is spent on it."""
        now = monotonic()
        if now >= self._uss_due:
            self._uss = process.unshared()
            after = monotonic()
            self._uss_due = after + max(1.0, 100 * (after - now))
        return self._uss
