"""What stands still beside many tasks: searching them must not keep the waits from being read."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, cast

from probes.base.sites import Tables
from probes.inspection import awaited_objects, stuck, sync_scan
from probes.inspection.queues import ObjectIds
from probes.inspection.waits import Wait

if TYPE_CHECKING:
    import pytest


class Record(weakref.ref):  # type: ignore[type-arg]
    """A task with an id, as the hooks keep it."""

    __slots__ = ("id", "steps")


class Clock:
    """A clock that a test moves; with `pace`, each call moves it."""

    def __init__(self, pace: float = 0.0) -> None:
        self.now, self.pace = 1000.0, pace

    def __call__(self) -> float:
        self.now += self.pace
        return self.now


async def want(lock: asyncio.Lock) -> None:
    async with lock:
        pass


def test_producers_beside_a_backlog_on_a_lock_are_reported_while_no_search_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, cpu = Clock(), Clock(pace=0.01)
    for module in (stuck, awaited_objects):
        monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(stuck, "thread_time", cpu)
    monkeypatch.setattr(stuck.Orphans, "search", lambda *_: iter(()))
    rows: list[Any] = []
    spent: list[float] = []

    async def main() -> None:
        lock, queue = asyncio.Lock(), asyncio.Queue[int](1)
        await lock.acquire()
        queue.put_nowait(1)
        backlog = [asyncio.create_task(want(lock)) for _ in range(300)]
        producers = [asyncio.create_task(queue.put(2)) for _ in range(3)]
        await asyncio.sleep(0)
        known = stuck.Stuck(ObjectIds(), Tables())
        records = []
        for number, task in enumerate([*backlog, *producers], 1):
            record = Record(task)
            record.id, record.steps = number, 1
            records.append(record)
        for _ in range(7):
            known.begin()
            for record in records:
                put = record.id > len(backlog)
                wait = Wait("queue", "", waited=queue, op="put") if put else Wait("lock", "", waited=lock)
                known.meet(record, wait, record().get_coro(), 0)  # type: ignore[arg-type, union-attr]
            known.settle()
            for _ in known.search(records):  # type: ignore[arg-type]
                pass
            rows.append({row[1]: row for row in known.facts()["stuck"]})
            spent.append(known.spent)
            clock.now += 5
        for task in (*backlog, *producers):
            task.cancel()

    asyncio.run(main())
    assert not rows[0]
    assert all({"lock", "queue"} == set(row) for row in rows[1:])
    assert [row["queue"][4] for row in rows[1:]] == [5_000_000 * look for look in range(1, 7)]
    # One search cost 0.3 s of a core, so that the next is due after 30 s; none of it is on the account of the looks.
    assert spent[1] > 0.3
    assert spent[1:6] == [spent[1]] * 5


def test_looks_at_a_program_that_has_rested_for_minutes_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(sync_scan, "monotonic", clock)
    monkeypatch.setattr(sync_scan, "thread_time", lambda: 0.0)
    monkeypatch.setattr(sync_scan.SyncScanner, "_scan", lambda *_: iter(()))
    scanner = sync_scan.SyncScanner(cast("Any", None), Tables(), cast("Any", None))

    def looks(seconds: int, *, idle: bool) -> int:
        before = scanner.number
        for _ in range(seconds):
            clock.now += 1
            scanner.scan(clock.now, watched=False, idle=idle)
        return scanner.number - before

    assert looks(600, idle=False) >= 60
    assert looks(300, idle=True) >= 8  # it may stand still, and what it stands on must be found
    assert looks(3_000, idle=True) <= 11
    assert looks(100, idle=False) >= 9
