"""How long the CPU quota of this process's control group has kept its threads from running (Linux)."""

from __future__ import annotations

import os
from collections import deque
from time import monotonic

EVERY = 0.25
"""Seconds between two readings while a loop is in a callback."""
FIND_EVERY = 5.0
"""Seconds between two looks for the quota, which may come, or change with the group, while the program runs."""
ROOT = "/sys/fs/cgroup"


class Throttled:
    """Readings of the counter in `cpu.stat`, from which it is known how much of it is younger than a moment."""

    def __init__(self, file: str | None = None) -> None:
        """`file`: the `cpu.stat` to read, instead of that of this process."""
        self._file = file or ""
        self._finds = file is None
        self._sought = -FIND_EVERY
        self._readings: deque[tuple[float, float]] = deque(maxlen=40)

    def look(self) -> None:
        """Reads the counter, if that was not done just now."""
        now = monotonic()
        if self._finds and now - self._sought >= FIND_EVERY:
            self._sought = now
            found = find_file()
            if found != self._file:
                self._file = found
                self._readings.clear()
        if not self._file:
            return
        if not self._readings or now - self._readings[-1][0] >= EVERY:
            self._readings.append((now, seconds_in(self._file)))

    def since(self, started: float) -> float:
        """Seconds of throttling since a moment, or since the last reading before it; 0.0 without a quota."""
        file, readings = self._file, list(self._readings)  # the watchdog goes on reading
        if not file or not readings:
            return 0.0
        before = readings[0][1]
        for at, seconds in readings:
            if at > started:
                break
            before = seconds
        return max(seconds_in(file) - before, 0.0)


def seconds_in(file: str) -> float:
    """The counter in a `cpu.stat`, of version 1 or 2 of control groups; 0.0 if it cannot be read."""
    try:
        with open(file, encoding="utf-8", errors="replace") as stat:
            figures = dict(line.split() for line in stat if line.count(" ") == 1)
        if "throttled_usec" in figures:
            return int(figures["throttled_usec"]) * 1e-6
        return int(figures.get("throttled_time", 0)) * 1e-9
    except (OSError, ValueError):
        return 0.0


def find_file(groups: str = "/proc/self/cgroup", root: str = ROOT) -> str:
    """The `cpu.stat` of the control group of this process; empty where there is none, or no quota."""
    try:
        with open(groups, encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return ""
    for _, controllers, path in (words for words in lines if len(words) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        bases = [root] if not controllers else [f"{root}/{name}" for name in (controllers, "cpu", "cpu,cpuacct")]
        for base in bases:
            for folder in (base + path.rstrip("/"), base):  # in a container the path may be that of the host
                if os.path.exists(f"{folder}/cpu.stat"):
                    if _has_quota(folder):
                        return f"{folder}/cpu.stat"
                    break
    return ""


def _has_quota(folder: str) -> bool:
    for name, none in (("cpu.max", "max"), ("cpu.cfs_quota_us", "-1")):
        try:
            with open(f"{folder}/{name}", encoding="utf-8", errors="replace") as file:
                return not file.read().startswith(none)
        except OSError:
            continue
    return False
