"""How long a loop wanted to run and got no CPU: on a crowded machine a callback is long because of others.

The kernel counts for each thread how long it was ready and waited for a processor (schedstat, proc(5)). What it says
before a callback and after it is compared; that of the probe's own threads is added, since one of them may have had
the GIL while it waited. So this is an upper bound, and 0.0 where the kernel does not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .records import LoopRecord

BETWEEN = 0.05
"""Seconds between two times that the kernel is asked about a calm loop."""


class Starved:
    """What the threads of the loops had waited when they were last calm. Used by the watchdog."""

    def __init__(self) -> None:
        self.own: set[int] = set()  # native ids of the probe's threads
        self._calm: dict[int, float] = {}  # by id of the loop
        self._asked = 0.0

    def look(self, now: float, records: Iterable[LoopRecord]) -> None:
        """Asks about those loops that are in no callback and have answered the last beat; forgets those not there."""
        if now - self._asked < BETWEEN:
            return
        self._asked = now
        calm: dict[int, float] = {}
        for record in records:
            is_calm = not record.started and not record.beat_sent
            before = self._waited(record) if is_calm else self._calm.get(record.id)
            if before is not None:
                calm[record.id] = before
        self._calm = calm

    def since_calm(self, record: LoopRecord, duration: float) -> float:
        """How much of a callback that ends now, or goes on, was waiting for a processor (s)."""
        calm = self._calm.get(record.id)
        return 0.0 if calm is None else min(max(self._waited(record) - calm, 0.0), duration)

    def forget(self) -> None:
        """Begins anew."""
        self._calm.clear()

    def _waited(self, record: LoopRecord) -> float:
        return sum(waited(number) for number in (record.thread_native, *self.own))


def waited(native: int) -> float:
    """Seconds for which a thread of this process was ready and got no processor."""
    try:
        with open(f"/proc/self/task/{native}/schedstat", "rb") as file:
            return int(file.read().split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0
