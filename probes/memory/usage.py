"""What the process uses: memory, file descriptors by kind, threads, context switches, and its garbage collector.

Read from /proc and `resource` in the probe's thread, once a second while a viewer asks. The collector is timed by a
callback in `gc.callbacks`, which is there only meanwhile.
"""

from __future__ import annotations

import gc
import os
from time import monotonic
from typing import Any

MOST_DESCRIPTORS = 2000
"""Descriptors whose kind is read; those beyond are `unread`."""

_ANONYMOUS = {"eventpoll": "epoll", "pidfd": "process"}


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
        """Begins to count, from nothing."""
        if self._callback is not None:
            return
        self.runs = [0, 0, 0]
        self.time = self.longest = self._started = 0.0
        self.collected = self.uncollectable = 0
        self._callback = self._called  # one object, so that it is found again
        gc.callbacks.append(self._callback)

    def off(self) -> None:
        """Takes the callback out again, wherever it stands by now."""
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
    """What the process uses now; what is dear to read is read less often."""

    def __init__(self) -> None:
        self._uss: int | None = None
        self._uss_due = 0.0

    def facts(self) -> dict[str, Any]:
        """The `usage` of the protocol. What this system does not tell is None."""
        return {
            "rss": resident(),
            "uss": self._unshared(),
            "fds": descriptors(),
            "threads": _threads(),
            "switches": _switches(),
        }

    def _unshared(self) -> int | None:
        """Summed up by the kernel, mapping by mapping: at most 1 % of the time is spent on it."""
        now = monotonic()
        if now >= self._uss_due:
            self._uss = _unshared()
            after = monotonic()
            self._uss_due = after + max(1.0, 100 * (after - now))
        return self._uss


def resident() -> int | None:
    """The resident set size (bytes)."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read(200).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _unshared() -> int | None:
    """What would be free if the process ended (bytes): its private pages, see proc(5)."""
    try:
        with open("/proc/self/smaps_rollup", "rb", buffering=0) as file:
            text = file.read(4096)
    except OSError:
        return None
    pages = [line.split() for line in text.splitlines() if line.startswith(b"Private_")]
    try:
        return sum(int(words[1]) * 1024 for words in pages) if pages else None
    except (ValueError, IndexError):
        return None


def descriptors() -> dict[str, int] | None:
    """File descriptors by kind."""
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return None
    kinds: dict[str, int] = {}
    for number in numbers[:MOST_DESCRIPTORS]:
        try:
            kind = _kind(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue  # it was closed meanwhile; one is that of the listing itself
        kinds[kind] = kinds.get(kind, 0) + 1
    if len(numbers) > MOST_DESCRIPTORS:
        kinds["unread"] = len(numbers) - MOST_DESCRIPTORS
    return kinds


def _kind(link: str) -> str:
    if link.startswith("/"):
        return "device" if link.startswith("/dev/") else "file"
    kind, _, rest = link.partition(":")
    if kind == "anon_inode":
        name = rest.strip("[]").removeprefix("/")
        return _ANONYMOUS.get(name, name[:40])
    return kind[:40]


def _threads() -> int | None:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return None


def _switches() -> list[int] | None:
    """Context switches of all threads so far: voluntary and not."""
    try:
        import resource
    except ImportError:
        return None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return [usage.ru_nvcsw, usage.ru_nivcsw]
