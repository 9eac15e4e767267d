"""Waiting for a condition with a deadline: no test sleeps for luck. And how long a process waited for a processor."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CROWDED = {"loop_blocked", "gil_wait"}
"""Kinds of findings that are truly found on a machine that is short of CPU."""


def wait_until(condition: Callable[[], T], what: str, timeout: float = 60.0) -> T:
    """Returns the first true result of `condition`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.01)


def waited_for_cpu(pid: int | str = "self") -> float:
    """Seconds that the main thread of a process was ready to run and did not (proc(5), schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) * 1e-9
