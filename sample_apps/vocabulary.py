"""The vocabulary of expectations: what a monitor must observe of a sample, as data that reads like a sentence.

Expectations hold for the first `Sample.watch` seconds of every run that is watched from its start, with any seed;
"the whole run" below is that time. `looptop samples check` runs each sample under the probe, takes a snapshot of its
tasks twice a second, and reports which expectations were met and what was observed instead.

* Tasks are selected by a pattern for `fnmatch.fnmatchcase`: `worker-*` is all of them together.
* Lines are marked by a trailing comment, `# expect: burns`, so that no line number is written down. A line may serve
  several expectations; a statement of several lines is marked at its first.
* Durations are seconds, sizes are bytes, bounds are inclusive, and None means unbounded.
* What looptop cannot observe yet is `NotSeenYet(expectation, because="…")`: it is listed, and fails nothing.

To add a type: a class here with a `sentence`, an entry in `Expectation`, and a function in
`monitor.samples.expectations`.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Outcome = Literal["done", "failed", "cancelled"]
Kind = Literal[
    "barrier",
    "condition",
    "event",
    "executor",
    "future",
    "gather",
    "lock",
    "pool",
    "queue",
    "semaphore",
    "sleep",
    "socket",
    "subprocess",
    "task",
]
Reason = Literal["own", "io", "gc", "gil", "import", "faults", "throttled"]
_REASONS = {
    "own": "its own code",
    "io": "a blocking call",
    "gc": "garbage collection",
    "gil": "waiting for the GIL",
    "import": "an import",
    "faults": "page faults",
    "throttled": "throttling by a CPU quota",
}
Problem = Literal[
    "loop_blocked",
    "gil_wait",
    "responses_failing",
    "task_busy",
    "busy_loop",
    "tasks_growing",
    "stands_high",
    "queue_growing",
    "executor_saturated",
    "lock_convoy",
    "deadlock",
    "never_wakes",
    "waiters_stuck",
    "queue_stuck",
    "subprocess_stuck",
    "subprocess_idle",
    "lock_stuck",
    "failed_unnoticed",
    "never_retrieved",
    "never_awaited",
    "collected_pending",
    "cancel_swallowed",
    "cancelled_by",
    "semaphore_overreleased",
    "timers_piling_up",
    "memory_growing",
]


# -- what `looptop watch` must print --


@dataclass(frozen=True, slots=True)
class SlowCallback:
    """At least `times` slow callbacks with this line in their stack and a duration within the bounds.

    `task` is the task whose step it was; None means a plain callback.
    """

    task: str | None
    line: str
    at_least: float
    at_most: float | None = None
    times: int = 1

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        whose = "a plain callback" if self.task is None else self.task
        return f"{whose} blocks the loop at {_line(self.line)} for {_bounds(self, 's')}{_times(self.times)}"


@dataclass(frozen=True, slots=True)
class SlowBecause:
    """Of the time of all slow callbacks with this line in their stack, at least this share (0 to 1) has this reason.

    Time for which the loop's thread had no CPU does not count, unless throttling by a quota is the reason.
    """

    line: str
    reason: Reason
    at_least: float

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"what blocks the loop at {_line(self.line)} is {_REASONS[self.reason]}, at {self.at_least:.0%} or more"


@dataclass(frozen=True, slots=True)
class LateBecause:
    """Of the time that tasks of this name waited, at least this share (0 to 1) was for such a thing, at this line.

    `holder` is a task that held it meanwhile. From every step, so it needs the hooks in C.
    """

    task: str
    kind: Kind
    line: str
    at_least: float
    holder: str | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        held = f" that {self.holder} holds" if self.holder else ""
        thing = f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}{held}"
        return (
            f"{self.task} is late since it waits for {thing} at {_line(self.line)}, {self.at_least:.0%} or more of it"
        )


@dataclass(frozen=True, slots=True)
class NoSlowCallback:
    """No slow callback of `over` seconds or more in the whole run.

    Time for which the loop's thread had no CPU does not count, because the program is not to blame for it.
    """

    over: float = 0.1

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"nothing blocks the loop for {self.over:g} s or more"


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """At least `times` tasks of this name that ended with this outcome, at an age within the bounds.

    If failed, with this type of exception; if cancelled, `by` a task of this name, at this line.
    """

    task: str
    outcome: Outcome
    exception: str | None = None
    times: int = 1
    at_least: float | None = None
    at_most: float | None = None
    by: str | None = None
    line: str | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        end = {"done": "is done", "failed": "fails", "cancelled": "is cancelled"}[self.outcome]
        end += (f" by {self.by}" if self.by else "") + (f" at {_line(self.line)}" if self.line else "")
        age = "" if self.at_least is None and self.at_most is None else f" at an age of {_bounds(self, 's')}"
        return f"{self.task} {end}{f' with {self.exception}' if self.exception else ''}{age}{_times(self.times)}"


@dataclass(frozen=True, slots=True)
class NoTaskEnded:
    """No task of this name ends with this outcome in the whole run; None means any outcome."""

    task: str
    outcome: Outcome | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        end = {None: "ends", "done": "is done", "failed": "fails", "cancelled": "is cancelled"}[self.outcome]
        return f"no {self.task} {end}"


@dataclass(frozen=True, slots=True)
class Unhandled:
    """At least `times` calls of the loop's exception handler, with `message` in their message."""

    message: str
    exception: str | None = None
    times: int = 1

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        of = f" of {self.exception}" if self.exception else ""
        return f"the exception handler receives {self.message!r}{of}{_times(self.times)}"


@dataclass(frozen=True, slots=True)
class NoUnhandled:
    """The loop's exception handler is not called in the whole run."""

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return "the exception handler is not called"


@dataclass(frozen=True, slots=True)
class LoopLag:
    """The largest lag that any loop shows in the whole run."""

    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"the worst loop lag is {_bounds(self, 's')}"


@dataclass(frozen=True, slots=True)
class Utilization:
    """The share of the run's time that the busiest loop was running callbacks, 0 to 1."""

    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"the utilization is {_bounds(self)}"


@dataclass(frozen=True, slots=True)
class Timers:
    """The most timers that a loop has at once in the whole run."""

    at_least: int | None = None
    at_most: int | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"the loop has {_bounds(self, 'timers')}"


@dataclass(frozen=True, slots=True)
class Loops:
    """The event loops that run in the process in the whole run."""

    at_least: int | None = None
    at_most: int | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"{_bounds(self)} event loops run"


# -- what `looptop tasks` must print, in snapshots twice a second --


@dataclass(frozen=True, slots=True)
class Waiting:
    """At least that many tasks that wait for the same object at the same time, in at least one snapshot.

    (For kinds where each task has its own, such as `sleep`, `socket` and `subprocess`: for any object of that kind.)
    `at_most` applies to every snapshot. `holder` is the task that holds the lock they wait for.
    """

    kind: Kind
    task: str
    at_least: int | None = None
    at_most: int | None = None
    holder: str | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        things = {"lock": "one lock", "queue": "one queue", "event": "one event", "condition": "one condition"}
        thing = things.get(self.kind, f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}")
        held = f" that {self.holder} holds" if self.holder else ""
        return f"{_bounds(self)} of {self.task} wait for {thing}{held}"


@dataclass(frozen=True, slots=True)
class Tasks:
    """That many live tasks at once, created at this line, with this name, or both.

    `at_least` applies to at least one snapshot, `at_most` to every one.
    """

    site: str | None = None
    at_least: int | None = None
    at_most: int | None = None
    task: str | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        made = f" created at {_line(self.site)}" if self.site else ""
        return f"{_bounds(self)} live tasks{f' {self.task}' if self.task else ''}{made}"


@dataclass(frozen=True, slots=True)
class TasksGrowing:
    """The number of live tasks created at this line grows every second, by `per_second` or more."""

    site: str
    per_second: float

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"the number of tasks created at {_line(self.site)} grows by {self.per_second:g} a second or more"


@dataclass(frozen=True, slots=True)
class StepRate:
    """Steps a second of each task of this name that lives for half a second; a busy loop makes very many."""

    task: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"{self.task} makes {_bounds(self, 'steps')} a second"


@dataclass(frozen=True, slots=True)
class BusyShare:
    """The share of the run's time for which the tasks of this name together occupy their loop, 0 to 1."""

    task: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"{self.task} occupies the loop for {_bounds(self)} of the time"


@dataclass(frozen=True, slots=True)
class AwaitStack:
    """An await stack of this task, in at least one snapshot, that contains these lines, outermost first."""

    task: str
    through: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"{self.task} waits at {', '.join(_line(marker) for marker in self.through)}"


@dataclass(frozen=True, slots=True)
class Child:
    """A task of this name whose parent is the other, in at least one snapshot."""

    task: str
    parent: str

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"{self.task} is a child of {self.parent}"


@dataclass(frozen=True, slots=True)
class AwaitedBy:
    """A live task of this name that the other awaits, in at least one snapshot."""

    task: str
    by: str

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"{self.task} is awaited by {self.by}"


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A live task of this name that no task awaits and whose parent has ended, in at least one snapshot."""

    task: str

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"{self.task} continues after its parent has ended, and no task awaits it"


@dataclass(frozen=True, slots=True)
class Eager:
    """A task of this name that ran its first step during its creation (Python 3.12 and newer)."""

    task: str

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"{self.task} is eager"


# -- what `looptop memory` must print --


@dataclass(frozen=True, slots=True)
class MemoryGrowth:
    """Growth of traced memory in bytes per second: allocated at this line, or anywhere if it is None.

    A sample with this expectation runs with tracemalloc on, which makes it several times slower.
    """

    line: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        where = f"allocated at {_line(self.line)}" if self.line else "of the program"
        return f"the memory {where} grows by {_bounds(self, 'bytes')} a second"


@dataclass(frozen=True, slots=True)
class FilesGrowing:
    """More open files, sockets included, at the end of the run than at its start: by `per_second` or more."""

    per_second: float

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"the open files grow by {self.per_second:g} a second or more"


# -- what the dashboard must detect --


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of this kind; if given, about this task and at this line."""

    kind: Problem
    task: str | None = None
    line: str | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        of = f" of {self.task}" if self.task else ""
        return f"the finding {self.kind}{of}{f' at {_line(self.line)}' if self.line else ''}"


@dataclass(frozen=True, slots=True)
class NoFinding:
    """No finding of this kind in the whole run; None means no finding at all."""

    kind: Problem | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return f"no finding {self.kind}" if self.kind else "no finding at all"


@dataclass(frozen=True, slots=True)
class NotSeenYet:
    """An expectation that looptop cannot check yet, or text if no type expresses it."""

    what: "Expectation | str"
    because: str

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return self.what if isinstance(self.what, str) else self.what.sentence


# -- what `looptop groups` must print --


@dataclass(frozen=True, slots=True)
class Group:
    """At least `ended` tasks with this label ended, `failed` of them failed; their median age is within the bounds."""

    label: str
    coro: str
    ended: int = 1
    failed: int | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        failed = "" if self.failed is None else f", {self.failed} or more fail"
        age = (
            ""
            if self.at_least is None and self.at_most is None
            else f", half of them at an age of {_bounds(self, 's')}"
        )
        return f"{self.ended} or more of {self.coro} with the label {self.label} end{failed}{age}"


Expectation = (
    SlowCallback
    | SlowBecause
    | LateBecause
    | NoSlowCallback
    | TaskEnded
    | NoTaskEnded
    | Unhandled
    | NoUnhandled
    | LoopLag
    | Utilization
    | Timers
    | Loops
    | Waiting
    | Tasks
    | TasksGrowing
    | StepRate
    | BusyShare
    | AwaitStack
    | Child
    | AwaitedBy
    | LeftAlone
    | Eager
    | MemoryGrowth
    | FilesGrowing
    | Group
    | Finding
    | NoFinding
    | NotSeenYet
)
LINE_FIELDS = ("line", "site", "through")  # the fields above that refer to marked lines
WORDS = {word.__name__: word for word in get_args(Expectation)}


def _line(marker: str) -> str:
    return f"`{marker}`"


def _bounds(of: object, unit: str = "") -> str:
    low, high = getattr(of, "at_least", None), getattr(of, "at_most", None)
    unit = f" {unit}" if unit else ""
    if low is not None and high is not None:
        return f"{low:g}{unit}" if low == high else f"{low:g} to {high:g}{unit}"
    if low is not None:
        return f"{low:g}{unit} or more"
    if high is not None:
        return f"no{unit}" if high == 0 else f"at most {high:g}{unit}"
    return f"any{unit}"


def _times(times: int) -> str:
    return "" if times == 1 else f", {times} times or more"
