"""How many changed tasks wait for the black box."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

from probes.hooks.records import TaskRecord
from probes.sampling.sampler import Changes
from probes.serving.session import Session


def test_no_more_new_tasks_wait_than_a_segment_has_room_for() -> None:
    things: list[Any] = [set() for _ in range(300)]
    records = [TaskRecord(thing) for thing in things]
    for number, record in enumerate(records, 1):
        record.id = number
    session = Session(MagicMock())
    session.watching = True
    session._most_dirty = 100
    session._known.add(250)
    changes = Changes()
    changes.live = records
    session.merge(changes)
    waiting = [number for number in range(1, 301) if number in session._dirty]
    assert waiting == [*range(1, 101), 250]
    session.merge(changes)
    assert len(session._dirty) == 101
    changes.live = records[:50]
    session.merge(changes)
    assert len(session._dirty) == 101
    session._dirty.take(90)
    session.merge(changes)
    assert len(session._dirty) >= 50
    session._most_dirty = None  # of a viewer
    changes.live = records
    session.merge(changes)
    assert len(session._dirty) == 300
