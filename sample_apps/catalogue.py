"""What a sample declares, and finding the samples.

A sample is a module of this package with a module-level `SAMPLE`. Its expectations are data: what a
monitor must see of it, in the words of `looptop watch` and `looptop tasks`. They are true of the first
`WATCH_SECONDS` of every run that is watched from its start, whatever the seed; "the whole run" below is
that time.

* Tasks are named by a pattern as in `fnmatch.fnmatchcase`: `worker-*` is each of them, together.
* Lines are named by a comment at the end of a line, `# expect: burns`, so that no line number is written
  down.
* Durations are seconds, bounds are inclusive, and a bound that is None is none.
"""

import difflib
import importlib
import io
import pkgutil
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

Topic = Literal[
    "communication",
    "generators",
    "loops",
    "memory",
    "networks",
    "programs",
    "slowness",
    "synchronization",
    "tasks",
]
Outcome = Literal["done", "failed", "cancelled"]
Kind = Literal["executor", "future", "lock", "queue", "semaphore", "sleep", "socket", "subprocess"]

WATCH_SECONDS = 5.0
NOT_SAMPLES = {"catalogue", "entry"}  # the modules of this package that are no samples


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


@dataclass(frozen=True, slots=True)
class NoSlowCallback:
    """Not one slow callback of the default threshold, in the whole run."""


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """`times` tasks or more of this name that ended so; a failed one with this type of exception."""

    task: str
    outcome: Outcome
    exception: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Unhandled:
    """`times` calls or more of the loop's exception handler, with `message` in their message."""

    message: str
    exception: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class NoUnhandled:
    """The loop's exception handler is not called in the whole run."""


@dataclass(frozen=True, slots=True)
class LoopLag:
    """The largest lag that the loop shows in the whole run."""

    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Utilization:
    """The share of the run's time that the loop was running callbacks, 0 to 1."""

    at_least: float | None = None
    at_most: float | None = None


# -- what `looptop tasks` must print, asked about once a second --


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


@dataclass(frozen=True, slots=True)
class Tasks:
    """So many living tasks made at this line: `at_least` in one answer at least, `at_most` in every one."""

    site: str
    at_least: int | None = None
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class TasksGrowing:
    """More living tasks made at this line in each answer than in the one before: by `per_second` or more."""

    site: str
    per_second: float


@dataclass(frozen=True, slots=True)
class StepRate:
    """Steps a second of each task of this name, over the whole run: a busy loop has very many."""

    task: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class AwaitStack:
    """An await stack of this task, in one answer at least, that passes these lines from the outside in."""

    task: str
    through: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Child:
    """A living task of this name whose parent is the other, in one answer at least."""

    task: str
    parent: str


Expectation = (
    SlowCallback
    | NoSlowCallback
    | TaskEnded
    | Unhandled
    | NoUnhandled
    | LoopLag
    | Utilization
    | Waiting
    | Tasks
    | TasksGrowing
    | StepRate
    | AwaitStack
    | Child
)
LINE_FIELDS = ("line", "site", "through")  # the fields above that name lines


@dataclass(frozen=True, slots=True)
class Sample:
    """One behaviour of an asyncio program: its name (the module's), and what a monitor must see of it."""

    name: str
    topic: Topic
    sentence: str
    cure: str | None  # the sample that does it right
    expectations: tuple[Expectation, ...]
    seconds: float = 10.0  # how long it runs unless told; 0 is until stopped
    needs: tuple[str, ...] = ()  # modules outside the standard library that it cannot do without

    @property
    def path(self) -> Path:
        """The source that its lines are in."""
        return Path(__file__).with_name(f"{self.name}.py")


class UnknownSample(LookupError):  # noqa: N818 - reads as what is the matter
    """Somebody asked for a sample that there is not; the message says which there are."""


class BadSample(Exception):  # noqa: N818 - reads as what is the matter
    """A declaration that cannot be true; the message names file and field."""

    def __init__(self, path: Path, field: str, why: str) -> None:
        super().__init__(f"{path}: {field}: {why}")


def samples() -> list[Sample]:
    """Every sample, by topic and name. Imports the modules, which runs none of them."""
    return sorted((_load(name) for name in names()), key=lambda sample: (sample.topic, sample.name))


def names() -> list[str]:
    """The name of every sample, sorted; imports none."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in modules if module.name not in NOT_SAMPLES)


def find(name: str) -> Sample:
    """The sample of that name. Raises UnknownSample, with the names that are close."""
    known = names()
    if name in known:
        return _load(name)
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known)}"
    raise UnknownSample(f"no sample is called {name!r}: {hint}")


def line_of(sample: Sample, marker: str) -> int:
    """The number of the line of the sample's source that carries this marker."""
    return _line(marked_lines(sample.path), marker, sample.path, "marker")


def marked_lines(path: Path) -> dict[str, int]:
    """Every `# expect: NAME` of a source, and the number of its line."""
    found: dict[str, int] = {}
    with tokenize.open(path) as file:
        source = file.read()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        marker = re.fullmatch(r"#\s*expect:\s*(\S+)", token.string) if token.type == tokenize.COMMENT else None
        if marker is None:
            continue
        if marker[1] in found:
            raise BadSample(path, f"line {token.start[0]}", f"line {found[marker[1]]} is {marker[1]!r} already")
        found[marker[1]] = token.start[0]
    return found


def declared(module: ModuleType) -> Sample:
    """What a module declares, checked against its own source. Raises BadSample."""
    path = Path(str(module.__file__))
    sample = getattr(module, "SAMPLE", None)
    if not isinstance(sample, Sample):
        raise BadSample(path, "SAMPLE", "there is none")
    if sample.name != path.stem:
        raise BadSample(path, "SAMPLE.name", f"{sample.name!r} is not the module's name")
    if sample.topic not in get_args(Topic):
        raise BadSample(path, "SAMPLE.topic", f"{sample.topic!r} is none of {', '.join(get_args(Topic))}")
    if not sample.sentence.endswith("."):
        raise BadSample(path, "SAMPLE.sentence", "is not a sentence")
    if sample.cure is not None and not _is_sample_beside(path, sample.cure):
        raise BadSample(path, "SAMPLE.cure", f"no sample is called {sample.cure!r}")
    if not sample.expectations:
        raise BadSample(path, "SAMPLE.expectations", "nothing is expected")
    _check_expectations(sample, path)
    return sample


def _load(name: str) -> Sample:
    return declared(importlib.import_module(f"{__package__}.{name}"))


def _is_sample_beside(path: Path, name: str) -> bool:
    return name not in {path.stem, *NOT_SAMPLES} and path.with_name(f"{name}.py").is_file()


def _check_expectations(sample: Sample, path: Path) -> None:
    lines = marked_lines(path)
    unused = set(lines)
    for number, expectation in enumerate(sample.expectations):
        where = f"SAMPLE.expectations[{number}]"
        if not isinstance(expectation, Expectation):
            raise BadSample(path, where, f"{expectation!r} is no expectation")
        for field, marker in _markers(expectation):
            _line(lines, marker, path, f"{where} {type(expectation).__name__}.{field}")
            unused.discard(marker)
        low, high = getattr(expectation, "at_least", None), getattr(expectation, "at_most", None)
        if low is not None and high is not None and low > high:
            raise BadSample(path, f"{where} {type(expectation).__name__}.at_most", f"{high} is less than {low}")
    for marker in unused:
        raise BadSample(path, f"line {lines[marker]}", f"nothing is expected of {marker!r}")


def _markers(expectation: Expectation) -> Iterator[tuple[str, str]]:
    for field in fields(expectation):
        if field.name in LINE_FIELDS:
            value = getattr(expectation, field.name)
            for marker in (value,) if isinstance(value, str) else value:
                yield field.name, marker


def _line(lines: dict[str, int], marker: str, path: Path, field: str) -> int:
    if marker not in lines:
        raise BadSample(path, field, f"no line is marked '# expect: {marker}'")
    return lines[marker]
