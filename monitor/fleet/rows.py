"""The figures of each worker, the columns that show them, and their totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor import formatting as fmt
from monitor.findings.kinds import BY_KEY
from monitor.fleet.base import RATE
from monitor.store.column import Column, figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.findings.rules.engine import Findings
    from monitor.fleet.base import AnyWorker
    from monitor.store.store import Store

MINUTE = round(60 * RATE)
"""Ticks over which the percentile of the lag is computed."""
BLOCKED = BY_KEY["loop_blocked"]
BLOCKS = "▁▂▃▄▅▆▇█"
SPARK = 10


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """The figures of one worker. Unknown ones are None."""

    worker: int
    pid: int | None
    host: str | None
    problem: str | None = None  # why it does not answer; None if it does
    entering: bool = False  # whether nothing is known yet, since it is just being connected to
    lag: float | None = None  # p99 over the last minute of its worst loop; while that is blocked, for how long
    lags: tuple[float, ...] = ()  # newest last
    utilization: float | None = None  # of its busiest loop
    tasks: int | None = None
    steps_per_s: float | None = None
    failed: int | None = None  # tasks since watching began
    requests_per_s: float | None = None  # ends of tasks with a label; None if there are none
    errors: int | None = None  # of these, failed or answered with status 500 and above, since they are counted
    rss: int | None = None
    cpu: float | None = None
    finding: str | None = None  # its worst one
    broken: bool = False  # whether that is of the bad kind
    blocked: float = 0.0  # seconds for which the worst line blocked its loop within the rule's window

    @property
    def trouble(self) -> tuple[bool, float]:
        """Sort key for the worst first: not answering; blocked, late, busy and with findings; entered."""
        if self.entering:
            return False, -1.0
        late = min(
            max((self.lag or 0.0) * 10, 0.0), 10.0
        )  # a lag at the default threshold weighs as much as a busy loop
        found = 0.0 if self.finding is None else (1.0 if self.broken else 0.5)
        return self.problem is not None, self.blocked + late + (self.utilization or 0.0) + found


def row_of(worker: AnyWorker, findings: Findings) -> ServiceRow:
    """Return the row of a worker, from its store."""
    store = worker.store
    if not worker.up or store.session is None:
        host = None if store.session is None else store.session.host
        if worker.up or worker.entering:  # if it is up, its first frames wait to be applied
            return ServiceRow(worker.slot, worker.pid, host, entering=True)
        return ServiceRow(worker.slot, worker.pid, host, worker.problem or "connecting")
    loops = store.loops.values()
    measured = [loop for loop in loops if loop.busy is not None]
    newest = [loop.lags.last(MINUTE) for loop in measured]
    worst = max(newest, key=lambda lags: max(lags, default=0.0), default=[])
    ordered = sorted(worst)
    p99 = ordered[int(0.99 * (len(ordered) - 1))] if ordered else None
    blocked = max((loop.blocked for loop in measured), default=0.0)
    shown = findings.shown()
    blocks = [one.observed.evidence.get("blocked") for one in shown if one.kind is BLOCKED]
    requests = [group for group in store.label_groups.values() if group.label]
    rates = [rate for group in requests if (rate := group.rate(store.now)) is not None]
    return ServiceRow(
        worker.slot,
        worker.pid,
        store.session.host,
        lag=None if p99 is None else max(p99, blocked),
        lags=tuple(worst[-SPARK:]),
        utilization=max((loop.utilization for loop in loops if loop.utilization is not None), default=None),
        tasks=len(store.tasks),
        steps_per_s=store.steps_per_s(),
        failed=sum(stats.failed for stats in store.sites.values()),
        requests_per_s=sum(rates) if rates else None,
        errors=sum(group.failed + group.errors for group in requests) if requests else None,
        rss=store.process.rss,
        cpu=store.process.cpu,
        finding=shown[0].kind.title if shown else None,
        broken=bool(shown) and shown[0].kind.weight == "bad",
        blocked=max((float(seconds or 0.0) for seconds in blocks), default=0.0),
    )


def spark(lags: Iterable[float]) -> str:
    """Draw lags as blocks, on a logarithmic scale from 1 ms to 1 s."""
    import math

    shares = (0.0 if lag <= 0.001 else min(math.log10(lag * 1000) / 3, 1.0) for lag in lags)
    return "".join(BLOCKS[min(int(share * 8), 7)] for share in shares).rjust(SPARK)


def _trouble(row: ServiceRow, _store: Store) -> str:
    if row.entering:
        return "entering …"
    if row.problem is not None:
        return f"✗ {row.problem}"
    if row.finding is None:
        return ""
    blocked = f"{fmt.duration(row.blocked)} " if row.finding == BLOCKED.title else ""
    return f"{'✗' if row.broken else '!'} {blocked}{row.finding}"


SERVICE: tuple[Column[ServiceRow], ...] = (
    figure("worker", "Worker", 6, "the slot; the next process in its place has the same", str, lambda r, s: r.worker),
    figure("pid", "PID", 7, "the process in it", lambda pid: "" if pid is None else str(pid), lambda r, s: r.pid,
           priority=2),
    Column("host", "Host", 12, "the machine or container that it runs on, if some are elsewhere (`--via`)",
           lambda r, s: r.host or "", lambda r, s: r.host or "", priority=2),
    figure("lag", "Lag p99", 7, "99th percentile of the lag of its worst loop over the last minute; while a loop is "
           "blocked, for how long", fmt.duration, lambda r, s: r.lag, unit="s"),
    Column("lags", "Lag", SPARK, "its lag over the last seconds, 1 ms to 1 s", lambda r, s: spark(r.lags), priority=2),
    figure("utilization", "Util", 5, "share of the last second that its busiest loop ran callbacks", fmt.percent,
           lambda r, s: r.utilization, unit="0..1"),
    figure("tasks", "Tasks", 6, "its live tasks", fmt.count, lambda r, s: r.tasks),
    figure("requests", "Req/s", 6, "ends per second of tasks with a label (routes, RPC methods), of the last 10 s",
           fmt.rate, lambda r, s: r.requests_per_s, unit="1/s"),
    figure("errors", "Errors", 6, "of these, failed or answered with status 500 and above", fmt.count,
           lambda r, s: r.errors),
    figure("steps_per_s", "Steps/s", 7, "steps per second of all its loops", fmt.rate, lambda r, s: r.steps_per_s,
           priority=2),
    figure("failed", "Failed", 6, "tasks that failed since watching began", fmt.count, lambda r, s: r.failed,
           priority=3),
    figure("rss", "RSS", 8, "its resident memory", fmt.size, lambda r, s: r.rss, unit="bytes", priority=2),
    figure("cpu", "CPU", 5, "share of one core", fmt.percent, lambda r, s: r.cpu, unit="0..1", priority=3),
    Column("trouble", "Trouble", 0, "why it does not answer, or its worst finding; sorts by all that is wrong: late, "
           "busy, findings", _trouble, lambda r, s: r.trouble),
)  # fmt: skip


def total(rows: list[ServiceRow]) -> dict[str, Any]:
    """Return the totals of all workers: sums, and the worst lag."""

    def add(value: Callable[[ServiceRow], float | None]) -> float | None:
        known = [found for row in rows if (found := value(row)) is not None]
        return sum(known) if known else None

    return {
        "workers": len(rows),
        "answering": sum(row.problem is None and not row.entering for row in rows),
        "entering": sum(row.entering for row in rows),
        "lag": max((row.lag for row in rows if row.lag is not None), default=None),
        "tasks": add(lambda row: row.tasks),
        "requests_per_s": add(lambda row: row.requests_per_s),
        "errors": add(lambda row: row.errors),
        "steps_per_s": add(lambda row: row.steps_per_s),
        "failed": add(lambda row: row.failed),
        "rss": add(lambda row: row.rss),
        "cpu": add(lambda row: row.cpu),
    }
