"""Recent events (slow callbacks, ended tasks, exceptions, notices) in bounded rings that every viewer reads."""

from __future__ import annotations

import marshal
from collections import deque
from contextlib import suppress
from itertools import count
from operator import itemgetter
from time import time
from typing import Any

from ..base import protocol

MOST_NOTES = 1000
_FAILED = protocol.STATES[protocol.FAILED]
_VERSION = 2
"""Of the format of `marshal`: later ones look for objects that occur twice, which takes longer."""

_Entry = tuple[int, tuple[str, ...], Any]


class Journal:
    """Rings, so that ends push out neither a failure nor a slow callback. Written by the probe's thread only.

    An entry is the number of an event, the names of its facts, and their values as bytes: a dictionary of them takes
    three times as much memory, and full rings hold thousands.
    """

    def __init__(self, most_ended: int) -> None:
        self._ended: deque[_Entry] = deque(maxlen=most_ended)
        self._failed: deque[_Entry] = deque(maxlen=most_ended)
        self._notes: deque[_Entry] = deque(maxlen=MOST_NOTES)
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._next_seq = count(1).__next__
        self.last_seq = 0

    def add(self, kind: str, at: int | None = None, **facts: Any) -> None:
        """Appends an event; `at` is Unix microseconds, now if it is left out."""
        self.last_seq = self._next_seq()
        names = tuple(facts)
        values: Any = (at or round(time() * 1e6), kind, *facts.values())
        with suppress(ValueError):  # an object of a subclass of str or int
            values = marshal.dumps(values, _VERSION)
        entry = (self.last_seq, self._names.setdefault(names, names), values)
        if kind != "task_ended":
            self._notes.append(entry)
        elif facts.get("outcome") == _FAILED:
            self._failed.append(entry)
        else:
            self._ended.append(entry)

    def since(self, seq: int) -> list[dict[str, Any]]:
        """Events after a number, in order. Events that fell out of the rings leave a gap in `seq`."""
        return self.first_since(seq, None)[0]

    def first_since(self, seq: int, most: int | None) -> tuple[list[dict[str, Any]], int]:
        """At most so many of these events, and how many more there are."""
        if seq >= self.last_seq:
            return [], 0
        found: list[_Entry] = []
        for ring in (self._ended, self._failed, self._notes):
            for entry in reversed(ring):
                if entry[0] <= seq:
                    break
                found.append(entry)
        found.sort(key=itemgetter(0))
        events = [_event(*entry) for entry in found[:most]]
        return events, len(found) - len(events)


def _event(seq: int, names: tuple[str, ...], values: Any) -> dict[str, Any]:
    at, kind, *facts = marshal.loads(values) if isinstance(values, bytes) else values  # noqa: S302 - made in `add`
    return {"type": "event", "seq": seq, "at": at, "kind": kind, **dict(zip(names, facts, strict=True))}
