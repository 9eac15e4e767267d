"""What the program's threads change while a thread of the probe reads it, at each moment at which they may."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import thread as pools
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from interleaving import interrupted

from probes.base import protocol
from probes.base.sites import Tables
from probes.hooks import accounting, install, loops
from probes.hooks.records import LoopRecord, SiteCounts
from probes.inspection import executors
from probes.sampling import rows, throttling
from probes.sampling.cpu_wait import CpuWait, Reading
from probes.sampling.sampler import Sampler
from probes.sampling.watchdog import Watchdog
from probes.serving.facts import Facts
from probes.trace.objects import ObjectNames

Reads = Callable[[], list[tuple[int, str]]]


class _Thread:
    pass


def test_threads_of_executors_may_begin_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[_Thread] = []

    def make() -> tuple[Callable[[], int], Callable[[], object]]:
        known: weakref.WeakKeyDictionary[_Thread, int] = weakref.WeakKeyDictionary()
        kept[:] = [_Thread() for _ in range(3)]
        known.update((thread, 0) for thread in kept[:2])
        monkeypatch.setattr(pools, "_threads_queues", known)
        return lambda: len(executors.threads_of("thread", "_threads_queues")), lambda: known.update({kept[2]: 0})

    assert set(interrupted(make)) == {2, 3}


def test_the_quota_may_be_read_while_a_callback_ends(tmp_path: Path) -> None:
    file = tmp_path / "cpu.stat"
    file.write_text("throttled_usec 5000000\n")

    def make() -> tuple[Callable[[], float], Callable[[], object]]:
        throttled = throttling.Throttled(str(file))
        throttled._readings.extend((at, at) for at in range(4))
        return lambda: throttled.since(2.5), lambda: throttled._readings.append((4.0, 4.0))

    assert set(interrupted(make)) == {3.0}


class _Loop:
    """One that answers a beat when it is asked to."""

    def __init__(self) -> None:
        self.beats: list[Callable[[], object]] = []
        self.call_soon_threadsafe = self.beats.append


def _record(loop: Any) -> LoopRecord:
    record = LoopRecord(loop, 1, "asyncio", True)
    record.thread = record.thread_native = 1
    return record


def test_a_callback_that_ends_while_its_loop_is_read_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _Loop()
    monkeypatch.setattr(loops.install, "current_task_of", lambda loop: loop)
    monkeypatch.setattr(loops.install, "record_of", lambda loop: loops_task[0])
    loops_task = [SimpleNamespace(id=7)]

    def make() -> tuple[Callable[[], list[Any]], Callable[[], object]]:
        record = _record(kept)
        record.busy, record.started = 10.0, monotonic() - 100
        loops_task[0] = SimpleNamespace(id=7)

        def next_callback() -> None:
            record.busy, record.started = 110.0, monotonic() + 1e-3  # of another task
            loops_task[0] = SimpleNamespace(id=8)

        return lambda: loops.row_of(record, kept, 0.0), next_callback  # type: ignore[arg-type]

    for row in interrupted(make):
        found = dict(zip(protocol.LOOP_ROW, row, strict=True))
        assert 109_000_000 < found["busy"] < 170_000_000, found
        assert (found["running"], found["blocked"] > 90_000_000) in ((7, True), (8, False), (None, False)), found
        assert found["blocked"] >= 0


def test_a_task_does_not_get_the_time_of_the_next_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _Loop()

    def make() -> tuple[Callable[[], list[Any] | None], Callable[[], object]]:
        loop = _record(kept)
        loop.started = monotonic() - 1e-3
        record: Any = SimpleNamespace(
            id=3, loop=loop, outcome=0, steps=5, busy=1.0, max_step=1.0, scheduled=0.0, state=protocol.RUNNING
        )
        monkeypatch.setattr(rows.loops, "state_of", lambda record: record.state)

        def goes_on() -> None:
            record.steps, record.busy, record.state, record.outcome = 6, 1.001, protocol.DONE, protocol.DONE
            loop.started = monotonic() - 50  # another blocks the loop, and the probe does not get the GIL

        return lambda: rows.row_of(record), goes_on

    for row in interrupted(make):
        assert row is not None
        found = dict(zip(protocol.TASK_ROW, row, strict=True))
        assert found["busy"] < 40_000_000 and found["max_step"] < 40_000_000, found
        if found["state"] == protocol.DONE:
            assert (found["steps"], found["busy"]) == (6, 1_001_000)


def test_a_lag_is_reported_once() -> None:
    loop = _Loop()

    def make() -> tuple[Callable[[], list[float]], Callable[[], object]]:
        record, reported, sent = _record(loop), [], monotonic()
        loop.beats.clear()
        Watchdog()._beat(loop, record, sent)
        record.beat_sent, record.lag_peak = sent, 5.0

        def sampler_looks() -> None:
            reported.append(record.lag_peak)
            record.lag_peak = 0.0

        def answers() -> list[float]:
            loop.beats[0]()
            assert record.beat_sent == 0.0, "it was answered"
            return [*reported, record.lag_peak]

        return answers, sampler_looks

    for found in interrupted(make):
        assert sorted(found)[-1] == 5.0 and sum(lag >= 5.0 for lag in found) == 1, found


def test_a_callback_that_ends_while_its_loop_seems_idle_is_not_forgotten() -> None:
    kept = _Loop()

    def make() -> tuple[Callable[[], Reading], Callable[[], object]]:
        wait, record = CpuWait(), _record(kept)
        wait._last[record.id] = Reading(monotonic(), 1.0, 1.0, 0.0)

        def ends() -> None:
            record.busy = 1.0
            wait._keep(record, Reading(monotonic(), 2.0, 1.0, 1.0))

        def looks() -> Reading:
            wait.sample([record])
            return wait._last[record.id]

        return looks, ends

    *meanwhile, before = interrupted(make)
    assert before.busy == 0.0
    assert {reading.busy for reading in meanwhile} == {1.0}


def test_a_hook_may_fail_while_the_failures_are_read() -> None:
    def make() -> tuple[Callable[[], int], Callable[[], object]]:
        failed = {"run": "why", "call_soon": "why"}
        nothing: Any = SimpleNamespace(
            cpu_time=float, hook_time=float, dropped=0, dropped_at=None, unnamed=0, failed=failed
        )
        facts = Facts(nothing, nothing, nothing, [])
        return lambda: len(facts.probe(0)["off"]), lambda: failed.update(trace="why")

    assert set(interrupted(make)) == {2, 3}


@pytest.mark.parametrize("stop", range(6))
def test_a_machine_that_stands_still_while_the_clocks_are_read(stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now, readings = 1000.0, 0

    def read() -> float:
        nonlocal now, readings
        readings += 1
        now += 3.0 if readings == stop else 1e-6
        return now

    monkeypatch.setattr(rows, "monotonic", read)
    monkeypatch.setattr(rows, "time", lambda: read() + 5e8)
    assert abs(rows.Clock().unix(2000.0) - (5e8 + 2000) * 1e6) <= 10


def test_a_machine_that_is_always_slow_has_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = iter(range(1000))
    monkeypatch.setattr(rows, "monotonic", lambda: next(ticking))
    monkeypatch.setattr(rows, "time", lambda: next(ticking) + 5e8)
    assert abs(rows.Clock().unix(0.0) - 5e14) <= 1e6


def test_cancellations_are_noted_while_others_are() -> None:
    def make() -> tuple[Callable[[], dict[int, Any]], Callable[[], object]]:
        table: dict[int, Any] = {1: None, 2: None}

        def drops() -> dict[int, Any]:
            accounting.drop_oldest(table)
            return table

        return drops, lambda: table.update({3: None}) if 1 in table else table.clear()

    assert [sorted(table) for table in interrupted(make)][-1] == [2]


def test_a_name_is_read_once_while_it_is_given() -> None:
    def make() -> tuple[Callable[[], Reads], Callable[[], object]]:
        names, read, known = ObjectNames(), [], 0

        def reads() -> list[tuple[int, str]]:
            nonlocal known
            known, new = names.since(known)
            read.extend(new)
            return read

        def gives() -> Reads:
            names.name(1, object(), None)
            names.name(2, [], None)
            return reads

        return gives, reads

    for reads in interrupted(make):
        assert reads() == [(1, "object"), (2, "list")]


def test_what_is_dropped_while_the_sampler_looks_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    state, aggregates = install.state, accounting.SiteAggregates()
    monkeypatch.setattr(install, "site_aggregates", aggregates)
    monkeypatch.setattr(state, "lost", 0)

    def make() -> tuple[Callable[[], tuple[int, int]], Callable[[], object]]:
        counts = aggregates.by_site[1] = SiteCounts(5)
        events: Any = SimpleNamespace(ends=list, dropped=0, unnamed=0)
        events.drop = lambda number: setattr(events, "dropped", events.dropped + number)
        events.leave_unnamed = lambda number: setattr(events, "unnamed", events.unnamed + number)
        sampler = Sampler(SimpleNamespace(all=list), Tables(), events)  # type: ignore[arg-type]
        state.lost = counts.unreported = 2

        def drop() -> None:
            state.lost += 1
            counts.unreported += 1

        def looks() -> tuple[int, int]:
            sampler.sample()
            return events.dropped + state.lost, events.unnamed + counts.unreported

        return looks, drop

    *meanwhile, before = interrupted(make)
    assert before == (2, 2)
    assert set(meanwhile) == {(3, 3)}
