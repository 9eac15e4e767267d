"""Records figures of the process and of each loop every second, also with nobody connected.

Runs in the probe's thread: rows of one second for ten minutes, and of ten seconds for six hours. For the process and
MOST_LOOPS loops that is at most LIMIT bytes.
"""

from __future__ import annotations

import gc
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import process, protocol
from ..hooks import install, loops
from ..sampling import gc_pauses
from .series import UNKNOWN, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..hooks.loops import Loops
    from ..hooks.records import LoopRecord
    from ..sampling.sampler import Changes, Sampler

LIMIT = 4 << 20
"""Limit in bytes, without the journal of events, which has limits of its own."""
MOST_LOOPS = 32
FINE, COARSE = 1, 10
"""Seconds per row."""
ROWS = {FINE: 600, COARSE: 2160}
MOST_READY = 1000
"""Limit of ready handles that are examined for steps of tasks; the others are assumed to be alike."""
_FOLDS: dict[str, Callable[[list[int]], int]] = {
    "max": max,
    "mean": lambda values: round(sum(values) / len(values)),
    "last": lambda values: values[-1],
}
"""How ten rows are merged into one."""


class _Figures:
    """The two series of the process or of a loop, and the rows that its next row of ten seconds is made of."""

    __slots__ = ("_folds", "_ten", "_ten_slot", "coarse", "fine")

    def __init__(self, columns: dict[str, str]) -> None:
        self._folds = [_FOLDS[fold] for fold in columns.values()]
        self.fine = Series(len(columns), ROWS[FINE])
        self.coarse = Series(len(columns), ROWS[COARSE])
        self._ten: list[list[int]] = []
        self._ten_slot = -1

    def put(self, slot: int, row: list[int]) -> None:
        self.fine.put(slot, row)
        ten = slot // COARSE
        if ten != self._ten_slot:
            if self._ten:
                columns = zip(*self._ten, strict=True)
                folded = [_folded(fold, column) for fold, column in zip(self._folds, columns, strict=True)]
                self.coarse.put(self._ten_slot, folded)
            self._ten, self._ten_slot = [], ten
        self._ten.append(row)


def _folded(fold: Callable[[list[int]], int], column: Iterable[int]) -> int:
    known = [value for value in column if value != UNKNOWN]
    return fold(known) if known else UNKNOWN


class History:
    """Adds a row per second while steps are counted. Used by the probe's thread."""

    def __init__(self, all_loops: Loops, sampler: Sampler, unix: Callable[[float], int]) -> None:
        """`unix`: converts seconds of the monotonic clock to Unix microseconds."""
        self._loops = all_loops
        self._sampler = sampler
        self._unix = unix
        self._process = _Figures(protocol.HISTORY_PROCESS)
        self._by_loop: dict[int, _Figures] = {}
        self._lags: dict[int, float] = {}
        self._before: dict[int, tuple[float, int]] = {}  # busy and steps of each loop at the last row
        self._totals = (0, 0, 0)
        self._cpu = 0.0
        self._full = 0
        self._collecting = 0.0  # seconds of all collections at the last row
        self._at = 0.0  # time of the last row; 0.0: none yet
        self.rows = 0

    def start(self) -> None:
        """Begins to measure; earlier rows stay."""
        if not self._at:
            self._note(monotonic())

    def stop(self) -> None:
        """Stop measuring; what is recorded stays readable."""
        self._at = 0.0

    def look(self, now: float, changes: Changes) -> None:
        """Takes the changes of one look of the sampler, and adds a row for every second that has passed."""
        self._lags = {number: max(self._lags.get(number, 0.0), lag) for number, lag in changes.lags.items()}
        if self._at and int(now) > int(self._at):
            self._row(now)

    def _note(self, now: float) -> None:
        self._at = now
        self._cpu = process.cpu_time()
        self._full = _full_collections()
        self._collecting, _ = gc_pauses.take() or (0.0, 0.0)
        self._totals = self._sampler.totals()
        self._before = {record.id: (loops.busy_of(record, now), record.steps) for _, record in self._loops.all()}
        self._lags.clear()

    def _row(self, now: float) -> None:
        """Adds the rows since the last one: several with the mean of all if this thread is late."""
        elapsed = max(now - self._at, 1e-3)
        first, last = int(self._at), int(now) - 1
        slots = range(max(first, last - 60), last + 1)
        alive = self._loops.all()
        running, scheduled = _running_and_scheduled(alive)
        for loop, record in alive:
            self._put_loop(slots, loop, record, now, elapsed)
        for gone in self._by_loop.keys() - {record.id for _, record in alive}:
            if len(self._by_loop) > MOST_LOOPS:
                del self._by_loop[gone]
        live = len(self._sampler.by_id)
        totals = zip(self._sampler.totals(), self._totals, strict=True)
        counts = [total - before for total, before in totals]
        births, ends, failures, full = (
            spread(count, elapsed, len(slots)) for count in (*counts, _full_collections() - self._full)
        )
        rss = process.resident()
        fds = process.descriptors_quickly()
        cpu = (process.cpu_time() - self._cpu) / elapsed
        collecting = gc_pauses.take()
        for slot, born, ended, failed, collections in zip(slots, births, ends, failures, full, strict=True):
            row = [
                running,
                UNKNOWN if scheduled is None else scheduled,
                UNKNOWN if scheduled is None else max(live - running - scheduled, 0),
                born,
                ended,
                failed,
                UNKNOWN if rss is None else rss >> 10,
                round(cpu * 1000),
                collections,
                UNKNOWN if fds is None else fds,
                live,
                UNKNOWN if collecting is None else round((collecting[0] - self._collecting) / max(elapsed, 1.0) * 1e6),
                UNKNOWN if collecting is None else round(collecting[1] * 1e6),
            ]
            self._process.put(slot, row)
        self.rows += 1
        self._note(now)

    def _put_loop(self, slots: range, loop: Any, record: LoopRecord, now: float, elapsed: float) -> None:
        figures = self._by_loop.get(record.id)
        if figures is None:
            if len(self._by_loop) >= MOST_LOOPS:
                return
            figures = self._by_loop[record.id] = _Figures(protocol.HISTORY_LOOP)
        busy, steps = self._before.get(record.id, (0.0, 0))
        lag = max(self._lags.get(record.id, 0.0), now - record.beat_sent if record.beat_sent else 0.0)
        ready = getattr(loop, "_ready", None)
        row = [
            round(lag * 1e6),
            round(min(max(loops.busy_of(record, now) - busy, 0.0) / elapsed, 1.0) * 1000),
            UNKNOWN if ready is None else len(ready),
            round(max(record.steps - steps, 0) / max(elapsed, 1.0)),
        ]
        for slot in slots:
            figures.put(slot, row)

    @property
    def columns(self) -> int:
        """Number of columns of all series."""
        return 2 * (len(protocol.HISTORY_PROCESS) + len(self._by_loop) * len(protocol.HISTORY_LOOP))

    def frames(self, since: dict[tuple[int, int], int], most: int | None = None) -> Iterator[dict[str, Any]]:
        """The `history` frames with rows newer than `since` (by loop and step), which is updated.

        `most`: limit of rows of each series; the newest are kept.
        """
        for number, figures in [(0, self._process), *self._by_loop.items()]:
            names = protocol.HISTORY_LOOP if number else protocol.HISTORY_PROCESS
            for step, series in ((FINE, figures.fine), (COARSE, figures.coarse)):
                oldest = 0 if most is None else series.newest + 1 - most
                first, columns = series.since(max(since.get((number, step), 0), oldest))
                if not columns[0]:
                    continue
                since[number, step] = series.newest + 1
                yield {
                    "type": "history",
                    "loop": number,
                    "step": step * 1_000_000,
                    "from": self._unix(first * step),
                    "columns": dict(zip(names, columns, strict=True)),
                }

    def size(self) -> int:
        """Bytes that all figures take."""
        known = [self._process, *self._by_loop.values()]
        return sum(figures.fine.size() + figures.coarse.size() for figures in known)


def spread(count: int, elapsed: float, seconds: int) -> list[int]:
    """What happened in some time, a second, for so many rows of a second. Few things are in some of them, not in none:
    rounded one by one, a single failure in rows that come three seconds late would be a third of one in each.
    """
    whole = round(count * seconds / max(elapsed, 1.0))
    return [whole * (place + 1) // seconds - whole * place // seconds for place in range(seconds)]


def _full_collections() -> int:
    """Number of full garbage collections."""
    return int(gc.get_stats()[-1]["collections"])


def _running_and_scheduled(alive: list[tuple[Any, LoopRecord]]) -> tuple[int, int | None]:
    """Numbers of tasks that run and that are ready to run; None if some loop does not let the ready ones be counted.

    A loop with handles of its own (uvloop) does not expose its queue, but what the hooks give it to run.
    """
    running = scheduled = running_elsewhere = 0
    known, foreign = True, False
    for loop, record in alive:
        runs = record.started != 0.0 and install.current_task_of(loop) is not None
        running += runs
        ready = getattr(loop, "_ready", None)
        if ready is None:
            foreign = True
            running_elsewhere += runs
            known = known and record.schedules
        else:
            steps = _ready_steps(ready)
            known = known and steps is not None
            scheduled += steps or 0
    if foreign:
        steps = install.steps_of_others()
        known = known and steps is not None
        scheduled += max((steps or 0) - running_elsewhere, 0)
    return running, scheduled if known else None


def _ready_steps(ready: Any) -> int | None:
    """Number of steps of tasks in the queue of a loop; None if it cannot be read."""
    try:
        number = len(ready)
        steps = sum(install.is_step(handle._callback) for handle in islice(ready, MOST_READY))
        return steps if number <= MOST_READY else round(steps * number / MOST_READY)
    except Exception:  # it changed in the meantime, or has foreign handles
        return None
