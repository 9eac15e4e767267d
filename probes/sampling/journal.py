"""Recent events (slow callbacks, ended tasks, exceptions, notices) in bounded rings that every viewer reads."""

from __future__ import annotations

from collections import deque
from itertools import count
from time import time
from typing import Any

from ..base import protocol

MOST_NOTES = 1000
_FAILED = protocol.STATES[protocol.FAILED]


class Journal:
    """Rings, so that ends push out neither a failure nor a slow callback. Written by the probe's thread only."""

    def __init__(self, most_ended: int) -> None:
        self._ended: deque[dict[str, Any]] = deque(maxlen=most_ended)
        self._failed: deque[dict[str, Any]] = deque(maxlen=most_ended)
        self._notes: deque[dict[str, Any]] = deque(maxlen=MOST_NOTES)
        self._next_seq = count(1).__next__
        self.last_seq = 0

    def add(self, kind: str, at: int | None = None, **facts: Any) -> None:
        """Appends an event; `at` is Unix microseconds, now if it is left out."""
        self.last_seq = self._next_seq()
        event = {"type": "event", "seq": self.last_seq, "at": at or round(time() * 1e6), "kind": kind, **facts}
        if kind != "task_ended":
            self._notes.append(event)
        elif facts.get("outcome") == _FAILED:
            self._failed.append(event)
        else:
            self._ended.append(event)

    def since(self, seq: int) -> list[dict[str, Any]]:
        """Events after a number, in order. Events that fell out of the rings leave a gap in `seq`."""
        if seq >= self.last_seq:
            return []
        out: list[dict[str, Any]] = []
        for ring in (self._ended, self._failed, self._notes):
            tail = []
            for event in reversed(ring):
                if event["seq"] <= seq:
                    break
                tail.append(event)
            out += tail
        out.sort(key=lambda event: event["seq"])
        return out
