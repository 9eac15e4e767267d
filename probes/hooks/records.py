"""The records that the hooks fill: one per task, one per loop, changed in place.

Times are those of `time.monotonic`, times and durations in seconds.

**The life of a TaskRecord.** Hooks write in the program's threads, the sampler in the probe's. The state is not a field
but follows from the fields below, so that the hot path writes each of them once. With hooks in C all slots exist from
the start, and BORN and UNSEEN records look like NEW ones.

| state | counts (`steps`, `busy`, …) | `histogram` | `steps_reported` | `dirty` | `outcome` |
|---|---|---|---|---|---|
| BORN: made while nothing is counted | absent | absent | absent | absent | absent |
| UNSEEN: made while counting, in its first step | absent | `NOT_YET` | absent | absent | absent |
| NEW: has counts, the sampler does not know it | set | None | -1 | False | 0 |
| QUEUED: waits in `changed` for the sampler | set | None or set | -1 or more | True | 0, or set by the end |
| KNOWN: the sampler knows it, no change since | set | None or set | 0 or more | False | 0 |
| ENDED: the sampler has counted its end | set | None or set | 0 or more | False | set |
| GONE: collected without an end that was seen | set | None or set | 0 or more | False | 0 |

    BORN → NEW               start_counting: counting begins; `counted` is the time since which steps are counted
    UNSEEN → NEW             begin: its first step is over, or the sampler met it; `counted` is None: since birth
    UNSEEN, NEW → dropped    its end is one of very many: counted at its creation site only (SiteCounts.unreported),
                             and `dirty` is set so that nothing queues it
    NEW, KNOWN → QUEUED      add_changed: after a step, at the end, or by the sampler's sweep; if `changed` is full the
                             state stays, and the next step tries again
    QUEUED → KNOWN           Sampler.sample: `steps_reported` becomes the number of steps added to its loop
    QUEUED → ENDED, GONE     Sampler.sample: with `outcome` set, or when the task is no more

When counting stops, the fields stay as they are; start_counting sets them anew when it begins again.
`ended`, `name`, `coro` and `failure` are set between the last step and QUEUED (accounting.finish).
"""

from __future__ import annotations

import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import local_values
from ..base.messages import message_of
from .backend import native, shared

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import CodeType

    from .groups import GroupCounts

    AnyTask = asyncio.Task[Any]
    Loop = asyncio.AbstractEventLoop


class TaskRecord(weakref.ref["AnyTask"]):
    """The record of one task, and a weak reference to it. See above for its states."""

    __slots__ = (
        "born",  # None when the task is older than the probe
        "busy",
        "code",  # the code object of the creation site, or None
        "coro",  # qualified name, set at the end of the task; before that it is read from the task
        "counted",  # None: since birth
        "dirty",  # waits in `changed`
        "eager",
        "ended",
        "failure",
        "group",  # the GroupCounts in which it is counted; None while nothing is
        "histogram",  # of steps and of scheduled times, while a viewer looks at the task
        "id",
        "key",  # id(task)
        "label",  # what it works on, as people call it; None: not known (yet)
        "lasti",
        "loop",
        "max_step",
        "name",  # set at the end of the task
        "origin",  # the creation stack, innermost first, while a viewer wants origins
        "outcome",  # an index of protocol.STATES from DONE on, or 0
        "parent",  # id of a task, or protocol.NO_TASK
        "predates_probe",  # made before the probe was installed
        "scheduled",
        "seen",  # the value of the context variable that labels are read from, after its last step
        "site",  # number of its creation site; set by the sampler
        "source",  # what its label is read from (probes/labels), dropped at its end
        "steps",
        "steps_reported",  # steps that the sampler has added to the loop's; -1 while it does not know the task
    )

    born: float | None
    busy: float
    code: CodeType | None
    coro: str | None
    counted: float | None
    dirty: bool
    eager: bool
    ended: float
    failure: Failure | None
    group: GroupCounts | None
    histogram: Histogram | None
    id: int
    key: int
    label: str | None
    lasti: int
    loop: LoopRecord | None
    max_step: float
    name: str | None
    predates_probe: bool
    origin: tuple[tuple[CodeType, int], ...] | None
    outcome: int
    parent: int
    scheduled: float
    seen: Any
    site: int
    source: Any
    steps: int
    steps_reported: int


def _start_counting(record: TaskRecord) -> None:
    """BORN → NEW: sets every count to zero and counts from now on."""
    record.busy = record.scheduled = record.max_step = record.ended = 0.0
    record.steps = record.outcome = record.site = 0
    record.coro = record.failure = record.histogram = record.name = record.origin = None
    record.group = record.label = record.seen = record.source = None
    record.counted = monotonic()
    record.steps_reported = -1
    record.dirty = False


NOT_YET: Any = object()
"""The `histogram` of an UNSEEN record (hooks in Python). Most tasks end in their first step, and are only counted at
their creation site, so counts would be set in vain."""


def begin(record: TaskRecord) -> bool:
    """UNSEEN → NEW; False, and nothing changed, in any other state. Hooks in C set all counts at birth."""
    try:
        if record.histogram is not NOT_YET:
            return False
    except AttributeError:  # it is still being made
        return False
    # Without a call, so that no other thread can run in between.
    record.busy = record.scheduled = record.max_step = 0.0
    record.steps = record.outcome = record.site = 0
    record.coro = record.failure = record.name = record.counted = record.histogram = None
    record.steps_reported = -1
    record.dirty = False
    return True


start_counting: Callable[[TaskRecord], None] = _start_counting if shared is None else shared.start_counting


class LoopClock:
    """The part of a LoopRecord that every callback touches."""

    __slots__ = (
        "busy",
        "followed",  # True: asyncio's own code runs it, and its stop will be noticed
        "inside",  # callbacks that run: two where one runs the loop itself (hooks in C)
        "nested",  # time of eager first steps inside the step that runs
        "number",  # of the loop: its id
        "started",  # start of the callback that runs now, or 0.0
        "steps",
    )

    busy: float
    followed: bool
    inside: int
    nested: float
    number: int
    started: float
    steps: int


if native is not None and not TYPE_CHECKING:
    TaskRecord = native.TaskRecord
    LoopClock = native.LoopClock


class UnseenCallback:
    """The callback that a loop was in when the hooks were installed (see sampling/unseen_callbacks.py)."""

    __slots__ = ("ended", "name", "samples", "since", "task", "waited", "what")

    def __init__(self, since: float) -> None:
        self.since = since  # when the hooks were installed
        self.ended = 0.0  # when the loop stopped or was started again; 0.0: it was not
        self.samples: list[Any] = []  # of the watchdog
        self.waited = 0.0  # how long its thread had waited for a CPU by then
        self.task: TaskRecord | None = None
        self.name = self.what = ""  # the name of the task; its coroutine, or the callback


class LoopRecord(LoopClock):
    """The record of one event loop."""

    __slots__ = (
        "__weakref__",
        "answered",  # when the loop last answered a beat
        "beat_sent",  # when the watchdog sent the beat that is not answered yet; 0.0: none
        "between",  # samples since that beat, of a loop that is not clocked
        "blocked_since",  # used by the watchdog only
        "busy_before",  # `busy` at the watchdog's last look
        "clocked",  # False: plain callbacks of the loop pass no hook (uvloop)
        "cpu_before",  # CPU seconds of its thread that `busy` does not count; None until the thread is known
        "depth",  # stack frames below the loop
        "id",
        "kind",
        "lag",
        "lag_peak",
        "ref",
        "samples",
        "schedules",  # True: the scheduled time of its tasks is known
        "thread",
        "thread_native",
        "timers",  # number of active timers at the last count
        "timers_due",  # when timers may be counted again
        "unseen",  # the callback that ran when the hooks were installed; None: it is over
    )

    def __init__(self, loop: Loop, id: int, kind: str, clocked: bool) -> None:  # noqa: A002
        self.ref = weakref.ref(loop)
        self.id = self.number = id
        self.kind = kind
        self.clocked = clocked
        self.cpu_before: float | None = None
        self.schedules = True
        self.followed = False
        self.thread = 0
        self.thread_native = 0
        self.depth = 0
        self.busy = 0.0
        self.steps = 0
        self.inside = 0
        self.nested = 0.0
        self.started = 0.0
        self.lag = 0.0
        self.lag_peak = 0.0
        self.beat_sent = 0.0
        self.answered = 0.0
        self.between: list[Any] = []
        self.blocked_since = 0.0
        self.busy_before = 0.0
        self.unseen: UnseenCallback | None = None
        self.samples: list[Any] = []
        self.timers: int | None = None
        self.timers_due = 0.0

    @property
    def since(self) -> float:
        """The start of the current callback, or a later moment if that was not seen; 0.0: none runs."""
        started, unseen = self.started, self.unseen
        return started or (unseen.since if unseen is not None else 0.0)


class SiteCounts:
    """Counts of one creation site since counting began."""

    __slots__ = ("born", "busy", "cancelled", "ended", "failed", "flood", "site", "steps", "unreported")

    def __init__(self, site: int) -> None:
        self.site = site  # its number in the tables
        self.born = self.ended = self.failed = self.cancelled = self.steps = 0
        self.busy = 0.0
        self.unreported = 0  # ends since the sampler's last look that have no event
        self.flood = 0  # id of the exception type whose failures here are only counted for now


if native is not None and not TYPE_CHECKING:
    SiteCounts = native.SiteCounts


class TracebackBudget:
    """How many more tracebacks may be read: a program may fail thousands of times a second, 100 frames deep.

    The first failure of each kind since the last refill is always read, so that a rare one is not lost in a flood.
    """

    A_SECOND = 100
    MOST_KINDS = 50

    def __init__(self) -> None:
        self._left = float(self.A_SECOND)
        self._kinds: set[tuple[int, int]] = set()
        self._flooded: list[SiteCounts] = []

    def refill(self, elapsed: float) -> None:
        """Adds to the budget; the sampler calls it with the seconds since its last call."""
        self._left = min(self._left + elapsed * self.A_SECOND, float(self.A_SECOND))
        if self._left >= 1.0:
            self._kinds.clear()
            for counts in self._flooded:
                counts.flood = 0
            self._flooded.clear()

    def take(self, code: CodeType | None, error: BaseException) -> bool:
        """Whether the traceback of a failure may be read; `code` is where the task was made."""
        kind = id(code), id(type(error))  # keeps nothing of the program alive
        if self._left < 1.0 and (kind in self._kinds or len(self._kinds) >= self.MOST_KINDS):
            return False
        self._kinds.add(kind)
        self._left -= 1.0
        return True

    def flood(self, counts: SiteCounts | None, error: BaseException) -> None:
        """Has the failures of that type at a creation site counted only, until the budget is refilled."""
        if counts is not None and not counts.flood:
            counts.flood = id(type(error))
            self._flooded.append(counts)


tracebacks = TracebackBudget()


class Failure:
    """The exception of a task or a callback as text: holds no reference to it, so no frame is kept alive."""

    __slots__ = ("locals", "message", "read", "traceback", "type")

    def __init__(self, error: BaseException, made_at: CodeType | None = None, anywhere: bool = False) -> None:
        """`anywhere`: called in another thread than that of the program in which it was raised."""
        self.type = type(error).__qualname__[:300]
        self.message = message_of(error, anywhere)
        self.traceback: list[tuple[CodeType, int]] = []
        self.locals: list[list[list[str]] | None] | None = None
        self.read = tracebacks.take(made_at, error)
        if not self.read:
            return
        entry = error.__traceback__
        while entry is not None and len(self.traceback) < 100:
            self.traceback.append((entry.tb_frame.f_code, entry.tb_lineno))
            entry = entry.tb_next
        if local_values.wanted:
            self.locals = local_values.locals_of(error)


class Histogram:
    """Counts by power of two: bucket n holds durations of [2^(n-1), 2^n) microseconds, bucket 0 those below 1."""

    __slots__ = ("schedules", "steps")

    BUCKETS = 32

    def __init__(self) -> None:
        self.steps = [0] * self.BUCKETS
        self.schedules = [0] * self.BUCKETS

    def add(self, step: float, scheduled: float | None) -> None:
        """Adds one step and, if known, how long it was ready before (seconds)."""
        self.steps[min(int(step * 1e6).bit_length(), 31)] += 1
        if scheduled is not None:
            self.schedules[min(int(scheduled * 1e6).bit_length(), 31)] += 1
