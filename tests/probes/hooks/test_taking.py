"""Tables of records by id: in C, and their stand-in for the hooks in Python."""

from __future__ import annotations

import tracemalloc
from collections import deque
from typing import Any

import pytest

from probes.hooks import install
from probes.hooks.records import TaskRecord

TABLES = {"in use": install.new_table, "Python": install.Table}


@pytest.mark.parametrize("kind", TABLES)
def test_each_record_gets_its_turn(kind: str) -> None:
    """Read in parts, and taken in pieces while others come and go."""
    table = TABLES[kind]()
    things: list[Any] = [set() for _ in range(3000)]
    for number, thing in enumerate(things, 1):
        record = TaskRecord(thing)
        record.id = number
        table[number] = record
    found, place = list[int](), 0
    while True:
        records, place = table.part(place, 20)
        found += [record.id for record in records]
        assert len(records) <= 20
        if not place:
            break
    assert sorted(found) == list(range(1, 3001))
    assert 7 in table
    assert 10**30 not in table
    taken: list[int] = []
    for turn in range(10):
        taken += [record.id for record in table.take(250)]
        table.pop(taken[-1], None)
        assert len(taken) == 250 * (turn + 1)
    taken += [record.id for record in table.take(10_000)]
    assert sorted(taken) == list(range(1, 3001))
    assert not table
    assert table.take(5) == []
    assert table.part(0, 5)[0] == []


@pytest.mark.skipif(isinstance(install.changed, deque), reason="the queue in C")
def test_the_queue_of_changes_gives_memory_back_after_a_burst() -> None:
    queue = type(install.changed)(200_000)
    record = TaskRecord(set())
    tracemalloc.start()
    try:
        for _ in range(100_000):
            queue.append(record)
        while len(queue) > 100:
            assert queue.popleft() is record
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()
    other = TaskRecord(set())
    queue.append(other)
    left = [queue.popleft() for _ in range(len(queue))]
    assert left == [record] * 100 + [other]


@pytest.mark.skipif(isinstance(install.changed, deque), reason="tables in C")
def test_a_table_from_which_all_were_taken_gives_memory_back() -> None:
    table = install.new_table()
    thing = set[int]()
    tracemalloc.start()
    try:
        for number in range(1, 30_001):
            record = TaskRecord(thing)
            record.id = number
            table[number] = record
        while len(table) > 100:
            table.take(1000)
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()
    record = TaskRecord(thing)
    record.id = 40_000
    table[40_000] = record
    left = len(table)
    assert table.get(40_000) is record
    assert record in table.take(left)
    assert not table
