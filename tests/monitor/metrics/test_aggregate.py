"""Slots of workers and the aggregate of all: no counter falls, labels are bounded."""

from __future__ import annotations

import pytest

from monitor.fleet.members import Members
from monitor.metrics import table
from monitor.metrics.aggregate import Aggregate, Histogram
from monitor.store.label_groups import Distribution, Exemplar, LabelGroup, middle
from monitor.store.model import Collections, Loop, Site, SiteStats
from monitor.store.store import Store


class Session:
    """All that the aggregate reads of a session."""

    def __init__(self, name: str) -> None:
        self.id = name


def store(session: str, steps: int, *, sites: int = 1, born: int = 10, lag: float = 0.002) -> Store:
    made = Store()
    made.session = Session(session)
    made.now = 1000.0 + steps
    loop = Loop(1, "asyncio", 1, "MainThread", steps=steps, busy=steps * 0.01, utilization=0.5, ready=2)
    loop.lags.add(lag)
    made.loops[1] = loop
    for number in range(sites):
        made.sites[number] = SiteStats(Site("/srv/app.py", number, "serve"), born=born, ended=born, failed=1)
    made.process.cpu_total = steps * 0.02
    return made


def values(aggregate: Aggregate, metric: table.Metric) -> dict[tuple[str, ...], float | Histogram]:
    return {point.labels: point.value for point in aggregate.points() if point.metric is metric}


def test_a_replaced_process_goes_on_where_the_one_before_ended() -> None:
    aggregate = Aggregate()
    worker = aggregate.worker(0)
    worker.observe(store("a", 100))
    worker.observe(store("a", 150))
    assert values(aggregate, table.STEPS) == {("0", "MainThread"): 150}
    worker.gone()
    assert values(aggregate, table.UTILIZATION) == {}, "nobody knows"
    assert values(aggregate, table.STEPS) == {("0", "MainThread"): 150}
    worker.observe(store("b", 7))
    assert values(aggregate, table.STEPS) == {("0", "MainThread"): 157}
    assert values(aggregate, table.STARTS) == {("0",): 2}
    assert values(aggregate, table.CPU) == {("0",): 150 * 0.02 + 7 * 0.02}


def test_counts_that_begin_anew_in_one_session_do_not_fall() -> None:
    aggregate = Aggregate()
    aggregate.worker(0).observe(store("a", 100))
    aggregate.worker(0).observe(store("a", 5))  # the probe counted anew
    assert values(aggregate, table.STEPS) == {("0", "MainThread"): 105}


def test_a_lag_is_counted_once_and_lands_in_its_bucket() -> None:
    aggregate = Aggregate()
    seen = store("a", 1, lag=0.03)
    for _ in range(3):
        aggregate.worker(2).observe(seen)
    (histogram,) = values(aggregate, table.DELAY).values()
    assert isinstance(histogram, Histogram)
    assert sum(histogram.counts) == 1
    assert histogram.counts[table.DELAY_BOUNDS.index(0.05)] == 1
    assert histogram.sum == 0.03


def test_lines_beyond_the_first_share_a_label() -> None:
    aggregate = Aggregate(top=3)
    aggregate.worker(0).observe(store("a", 1, sites=50))
    created = values(aggregate, table.CREATED)
    assert len(created) == 4
    assert created["0", "other"] == 470
    assert sum(created.values()) == 500
    ended = values(aggregate, table.ENDED)
    assert ended["0", "other", "failed"] == 47


def test_slots_stay_when_processes_are_replaced() -> None:
    found = {"100": ["1", "2", "3"], "@api": ["9"]}
    members = Members(["100", "@api"], lambda target: found[target])

    def slots() -> dict[int, str]:
        return {member.worker: member.target for member in members.scan()}

    assert slots() == {0: "1", 1: "2", 2: "3", 3: "9"}
    found["100"] = ["1", "3"]
    assert slots() == {0: "1", 2: "3", 3: "9"}
    found["100"] = ["1", "3", "7", "8"]
    assert slots() == {0: "1", 1: "7", 2: "3", 3: "9", 4: "8"}
    found["@api"] = []
    found["100"] = ["8"]
    assert slots() == {4: "8"}
    found["@api"] = ["5"]
    assert slots() == {3: "5", 4: "8"}


def test_a_process_that_two_targets_mean_is_one_member() -> None:
    members = Members(["1", "2"], lambda _: ["77"])
    assert [member.target for member in members.scan()] == ["77"]


def grouped(session: str, *groups: tuple[int, str, int, int], gc: int = 5) -> Store:
    """`groups`: number, label, ended tasks of 30 ms each, how many of them failed."""
    made = store(session, 1)
    for number, label, ended, failed in groups:
        made.label_groups[number] = LabelGroup(
            number,
            "handle",
            label,
            None,
            live=2,
            ended=ended,
            failed=failed,
            responses=ended,
            errors=failed,
            sums=(ended * 0.03, ended * 0.01, ended * 0.005, ended * 0.015),
            age=Distribution.of([bucket_of(0.03), ended]),
            slowest=(Exemplar(77, 0.03, 1000.0, "done", None),),
            version=ended,
        )
    made.process.gc = (Collections(gc, 10 * gc, 0), Collections(1, 2, 3))
    return made


def bucket_of(seconds: float) -> int:
    return next(bucket for bucket in range(1000) if middle(bucket) >= seconds)


def test_groups_are_histograms_that_no_restart_lets_fall() -> None:
    aggregate = Aggregate()
    worker = aggregate.worker(0)
    worker.observe(grouped("a", (1, "GET /a", 10, 1)))
    worker.observe(grouped("a", (1, "GET /a", 25, 2)))
    (histogram,) = values(aggregate, table.DURATION).values()
    assert isinstance(histogram, Histogram)
    assert sum(histogram.counts) == histogram.counts[table.DELAY_BOUNDS.index(0.05)] == 25
    assert histogram.sum == pytest.approx(0.75)
    assert [one.task for one in histogram.exemplars.values()] == [77]
    worker.observe(grouped("b", (9, "GET /a", 4, 4)))
    assert sum(histogram.counts) == 29
    assert values(aggregate, table.OUTCOMES) == {
        ("0", "handle GET /a", "done"): 23,
        ("0", "handle GET /a", "failed"): 6,
        ("0", "handle GET /a", "cancelled"): 0,
    }
    assert values(aggregate, table.ERRORS) == {("0", "handle GET /a"): 6}
    assert values(aggregate, table.PARTS)["0", "handle GET /a", "waited"] == pytest.approx(29 * 0.015)
    assert values(aggregate, table.LIVE) == {("0", "handle GET /a"): 2}


def test_groups_beyond_the_first_share_a_label() -> None:
    aggregate = Aggregate(top=2)
    aggregate.worker(0).observe(grouped("a", *((number, f"GET /{number}", 10 + number, 0) for number in range(6))))
    found = values(aggregate, table.DURATION)
    assert {labels[1] for labels in found} == {"handle GET /5", "handle GET /4", "other"}
    assert sum(sum(histogram.counts) for histogram in found.values()) == sum(range(10, 16))


def test_collections_are_counted_by_generation() -> None:
    aggregate = Aggregate()
    aggregate.worker(0).observe(grouped("a", gc=5))
    aggregate.worker(0).observe(grouped("b", gc=3))
    assert values(aggregate, table.GC_RUNS) == {("0", "0"): 8, ("0", "1"): 2}
    assert values(aggregate, table.GC_COLLECTED)["0", "0"] == 80
    assert values(aggregate, table.GC_UNCOLLECTABLE)["0", "1"] == 6


def test_what_is_kept_is_bounded_when_processes_and_loops_come_and_go() -> None:
    aggregate = Aggregate(top=3)
    worker = aggregate.worker(0)
    sizes = []
    for number in range(20):
        groups = [(one, f"GET /{number}/{one}", 10, 0) for one in range(10)]
        made = grouped("a" if number < 10 else f"session-{number}", *groups)
        made.loops = {number: Loop(number, "asyncio", 1, "MainThread", steps=number, busy=0.1, utilization=0.5)}
        worker.observe(made)
        sizes.append((len(aggregate.points()), len(worker._heard), len(worker._counters[table.STEPS]._last)))
    assert sizes[1:] == [sizes[1]] * 19
    assert values(aggregate, table.STEPS) == {("0", "MainThread"): sum(range(20))}, "of all loops of that name"


def test_a_loop_that_has_ended_has_no_gauges() -> None:
    aggregate = Aggregate()
    seen = store("a", 1)
    aggregate.worker(0).observe(seen)
    seen.loops[2] = Loop(2, "asyncio", 2, "Thread-2", steps=1, busy=0.1, utilization=0.9)
    for _ in range(5):
        aggregate.worker(0).observe(seen)
        seen.now += 1.0
        seen.loops[2].steps += 1
    assert values(aggregate, table.UTILIZATION) == {("0", "Thread-2"): 0.9}
    assert values(aggregate, table.STEPS)["0", "MainThread"] == 1, "what was counted stays"
