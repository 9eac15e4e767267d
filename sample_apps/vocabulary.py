"""The words of an expectation: what a monitor must see of a sample, as data that reads like a sentence.

They are true of the first `Sample.watch` seconds of every run that is watched from its start, whatever the seed;
"the whole run" below is that time. `looptop samples check` runs each sample under the probe, looks at its tasks
twice a second, and tells which were met and what was seen instead.

* Tasks are named by a pattern as in `fnmatch.fnmatchcase`: `worker-*` is each of them, together.
* Lines are named by a comment at the end of a line, `# expect: burns`, so that no line number is written
  down. A line may serve several expectations; a statement of several lines is known by its first.
* Durations are seconds, sizes are bytes, bounds are inclusive, and a bound that is None is none.
* What cannot be told yet is `NotSeenYet(expectation, because="…")`: it is listed, and fails nothing.

To add a word: a class here with a `sentence`, its place in `Expectation`, and a function of
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
    "queue",
    "semaphore",
    "sleep",
    "socket",
    "subprocess",
    "task",
]
Problem = Literal[
    "loop_blocked",
    "gil_wait",
    "task_busy",
    "busy_loop",
    "tasks_growing",
    "queue_growing",
    "executor_saturated",
    "lock_convoy",
    "deadlock",
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
    """`times` slow callbacks or more that have this line in their stack and are as long as said.

    `task` is the task whose step it was; None says that it was a plain callback, of no task.
    """

    task: str | None
    line: str
    at_least: float
    at_most: float | None = None
    times: int = 1

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        whose = "a plain callback" if self.task is None else self.task
        return f"{whose} blocks the loop at {_line(self.line)} for {_bounds(self, 's')}{_times(self.times)}"


@dataclass(frozen=True, slots=True)
class NoSlowCallback:
    """Not one slow callback in the whole run: of the default threshold, or longer than `over` seconds.

    Time for which the loop's thread got no processor does not count: the program is not to blame for that.
    """

    over: float = 0.1

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"nothing blocks the loop for {self.over:g} s or more"


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """`times` tasks or more of this name that ended so, at an age as said.

    A failed one with this type of exception, a cancelled one `by` a task of this name, at this line.
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
        """What is expected, for a person."""
        end = {"done": "is done", "failed": "fails", "cancelled": "is cancelled"}[self.outcome]
        end += (f" by {self.by}" if self.by else "") + (f" at {_line(self.line)}" if self.line else "")
        age = "" if self.at_least is None and self.at_most is None else f" at an age of {_bounds(self, 's')}"
        return f"{self.task} {end}{f' with {self.exception}' if self.exception else ''}{age}{_times(self.times)}"


@dataclass(frozen=True, slots=True)
class NoTaskEnded:
    """No task of this name ends so in the whole run; None is any outcome."""

    task: str
    outcome: Outcome | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        end = {None: "ends", "done": "is done", "failed": "fails", "cancelled": "is cancelled"}[self.outcome]
        return f"no {self.task} {end}"


@dataclass(frozen=True, slots=True)
class Unhandled:
    """`times` calls or more of the loop's exception handler, with `message` in their message."""

    message: str
    exception: str | None = None
    times: int = 1

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        of = f" of {self.exception}" if self.exception else ""
        return f"the exception handler hears {self.message!r}{of}{_times(self.times)}"


@dataclass(frozen=True, slots=True)
class NoUnhandled:
    """The loop's exception handler is not called in the whole run."""

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return "the exception handler hears nothing"


@dataclass(frozen=True, slots=True)
class LoopLag:
    """The largest lag that any loop shows in the whole run."""

    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"the worst loop lag is {_bounds(self, 's')}"


@dataclass(frozen=True, slots=True)
class Utilization:
    """The share of the run's time that the busiest loop was running callbacks, 0 to 1."""

    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"the utilization is {_bounds(self)}"


@dataclass(frozen=True, slots=True)
class Timers:
    """The most timers that a loop has at once in the whole run."""

    at_least: int | None = None
    at_most: int | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"the loop has {_bounds(self, 'timers')}"


@dataclass(frozen=True, slots=True)
class Loops:
    """The event loops that run in the process in the whole run."""

    at_least: int | None = None
    at_most: int | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"{_bounds(self)} event loops run"


# -- what `looptop tasks` must print, asked twice a second --


@dataclass(frozen=True, slots=True)
class Waiting:
    """At least so many tasks at once, in one answer at least, that wait for one and the same thing.

    (Where each has its own, as with a `sleep`, a `socket` or a `subprocess`: for a thing of that kind.)
    `at_most` holds for every answer. `holder` is the task that has the lock they wait for.
    """

    kind: Kind
    task: str
    at_least: int | None = None
    at_most: int | None = None
    holder: str | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        things = {"lock": "one lock", "queue": "one queue", "event": "one event", "condition": "one condition"}
        thing = things.get(self.kind, f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}")
        held = f" that {self.holder} has" if self.holder else ""
        return f"{_bounds(self)} of {self.task} wait for {thing}{held}"


@dataclass(frozen=True, slots=True)
class Tasks:
    """So many living tasks at once, made at this line or of this name or both.

    `at_least` in one answer at least, `at_most` in every one.
    """

    site: str | None = None
    at_least: int | None = None
    at_most: int | None = None
    task: str | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        made = f" made at {_line(self.site)}" if self.site else ""
        return f"{_bounds(self)} living tasks{f' {self.task}' if self.task else ''}{made}"


@dataclass(frozen=True, slots=True)
class TasksGrowing:
    """More living tasks made at this line in each second than in the one before: by `per_second` or more."""

    site: str
    per_second: float

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"the tasks made at {_line(self.site)} grow by {self.per_second:g} a second or more"


@dataclass(frozen=True, slots=True)
class StepRate:
    """Steps a second of each task of this name that lives for half a second: a busy loop has very many."""

    task: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"{self.task} makes {_bounds(self, 'steps')} a second"


@dataclass(frozen=True, slots=True)
class BusyShare:
    """The share of the run's time that the tasks of this name keep their loop, together, 0 to 1."""

    task: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"{self.task} keeps the loop for {_bounds(self)} of the time"


@dataclass(frozen=True, slots=True)
class AwaitStack:
    """An await stack of this task, in one answer at least, that passes these lines from the outside in."""

    task: str
    through: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"{self.task} waits at {', '.join(_line(marker) for marker in self.through)}"


@dataclass(frozen=True, slots=True)
class Child:
    """A task of this name whose parent is the other, in one answer at least."""

    task: str
    parent: str

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"{self.task} is a child of {self.parent}"


@dataclass(frozen=True, slots=True)
class AwaitedBy:
    """A living task of this name that the other waits for, in one answer at least."""

    task: str
    by: str

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"{self.task} is awaited by {self.by}"


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A living task of this name that nobody waits for, whose parent has ended; in one answer at least."""

    task: str

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"{self.task} goes on after its parent has ended, and nobody waits for it"


@dataclass(frozen=True, slots=True)
class Eager:
    """A task of this name that took its first step while it was made (Python 3.12 and newer)."""

    task: str

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"{self.task} is eager"


# -- what `looptop memory` must print --


@dataclass(frozen=True, slots=True)
class MemoryGrowth:
    """Bytes a second by which the traced memory grows: of this line, or of all lines where it is None.

    A sample that says this is watched with tracemalloc on, which makes it several times slower.
    """

    line: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        where = f"made at {_line(self.line)}" if self.line else "of the program"
        return f"the memory {where} grows by {_bounds(self, 'bytes')} a second"


@dataclass(frozen=True, slots=True)
class FilesGrowing:
    """More open files, sockets included, at the end of the run than at its start: by `per_second` or more."""

    per_second: float

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"the open files grow by {self.per_second:g} a second or more"


# -- what the dashboard must say by itself --


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of this kind, about this task and this line where they are named."""

    kind: Problem
    task: str | None = None
    line: str | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        of = f" of {self.task}" if self.task else ""
        return f"the finding {self.kind}{of}{f' at {_line(self.line)}' if self.line else ''}"


@dataclass(frozen=True, slots=True)
class NoFinding:
    """No finding of this kind in the whole run; None is no finding at all."""

    kind: Problem | None = None

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return f"no finding {self.kind}" if self.kind else "no finding at all"


@dataclass(frozen=True, slots=True)
class NotSeenYet:
    """What should be seen, and cannot be told yet: an expectation, or words where there is none for it."""

    what: "Expectation | str"
    because: str

    @property
    def sentence(self) -> str:
        """What is expected, for a person."""
        return self.what if isinstance(self.what, str) else self.what.sentence


Expectation = (
    SlowCallback
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
    | Finding
    | NoFinding
    | NotSeenYet
)
LINE_FIELDS = ("line", "site", "through")  # the fields above that name lines
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
