"""Decorators that record the cost of every call of a function: `@probes.profile_time`, `@probes.profile_memory`.

    @probes.profile_time
    async def handler(request): ...

    @probes.profile_memory(key_type="lineno", cumulative=True)
    def load(path): ...

The figures of every call are kept, the newest `keep` of them one by one, all of them in the totals; they are read
with `looptop profile TARGET`. Coroutines and generators are measured step by step: what other tasks do between two
steps does not count as theirs. A decorated function keeps its name, signature and kind.
"""

from __future__ import annotations

import inspect
import sys
from _thread import allocate_lock
from asyncio import CancelledError
from collections import deque
from time import monotonic, time
from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import wrappers
from .wrappers import shape, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

tracer: Any
try:
    import _tracemalloc as tracer
except ImportError:  # no CPython
    tracer = None

F = TypeVar("F")

REGISTRY = "_looptop_profiles"
"""The attribute of `sys` with the profiles: the probe that reads them may be another copy of this package."""

KEEP = 1000
MOST_PROFILES = 500
MOST_ROWS = 10
KEY_TYPES = ("lineno", "filename", "traceback")


class Profile:
    """The figures of one decorated function."""

    def __init__(self, function: Any, shape: str, kind: str, keep: int, key_type: str | None, cumulative: bool) -> None:
        code = getattr(inspect.unwrap(function), "__code__", None)
        self.function = str(getattr(function, "__qualname__", None) or type(function).__qualname__)
        self.module = str(getattr(function, "__module__", None) or "")
        self.file: str = "" if code is None else code.co_filename
        self.line: int = 0 if code is None else code.co_firstlineno
        self.shape, self.kind = shape, kind
        self.key_type, self.cumulative = key_type, cumulative
        self.calls = self.failed = self.cancelled = self.running = self.steps = self.size_diff = 0
        self.elapsed = self.longest = self.busy = 0.0
        self.recent: deque[tuple[Any, ...]] = deque(maxlen=keep)
        self._lock = allocate_lock()

    def begin(self) -> Call:
        """Counts the start of a call."""
        with self._lock:
            self.running += 1
        return (MemoryCall if self.kind == "memory" else Call)(self)

    def add(self, call: Call, outcome: str) -> None:
        """Counts the end of a call."""
        elapsed = call.over - call.begun
        with self._lock:
            self.running -= 1
            self.calls += 1
            self.failed += outcome == "failed"
            self.cancelled += outcome == "cancelled"
            self.steps += call.steps
            self.elapsed += elapsed
            self.longest = max(self.longest, elapsed)
            self.busy += call.busy
            self.size_diff += call.size_diff or 0
            entry = (call.at, _us(elapsed), _us(call.busy), call.steps, call.size_diff, outcome, call.rows)
            self.recent.append(entry)

    def facts(self, calls: int) -> dict[str, Any]:
        """All figures, with the newest calls; durations in microseconds."""
        with self._lock:
            recent = list(self.recent)
            return {
                "function": self.function[:300],
                "module": self.module[:300],
                "file": self.file,
                "line": self.line,
                "shape": self.shape,
                "kind": self.kind,
                "key_type": self.key_type,
                "cumulative": self.cumulative,
                "running": self.running,
                "calls": self.calls,
                "failed": self.failed,
                "cancelled": self.cancelled,
                "steps": self.steps,
                "elapsed": _us(self.elapsed),
                "longest": _us(self.longest),
                "busy": _us(self.busy),
                "size_diff": self.size_diff if self.kind == "memory" else None,
                "kept": len(recent),
                "recent": [list(entry) for entry in recent[-calls:]] if calls else [],
            }


class Call:
    """One call while it runs: time inside its steps."""

    __slots__ = ("_entered", "at", "begun", "busy", "over", "profile", "rows", "size_diff", "steps")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.at = _us(time())
        self.begun = monotonic()
        self.busy = self.over = 0.0
        self.steps = 0
        self.size_diff: int | None = None
        self.rows: list[Any] | None = None

    def enter(self) -> None:
        """Note the start of a step."""
        self._entered = monotonic()

    def leave(self) -> None:
        """Add the time of the step to the call."""
        self.busy += monotonic() - self._entered
        self.steps += 1

    def __enter__(self) -> Self:
        """Note the start of a call."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """The call is over; what was raised goes on."""
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        """The call is over."""
        self.over = self.over or monotonic()
        if error is None or isinstance(error, GeneratorExit):
            outcome = "done"
        else:
            outcome = "cancelled" if isinstance(error, CancelledError) else "failed"
        self.profile.add(self, outcome)


class _Tracer:
    """Keeps tracemalloc on while a call of `profile_memory` runs; if it was on before, it stays on."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._users = 0
        self._ours = False

    def acquire(self) -> None:
        """Start tracing for a call, unless another call does already."""
        with self._lock:
            self._users += 1
            if self._users == 1 and not tracer.is_tracing():
                tracer.start(1)
                self._ours = True

    def release(self) -> None:
        """A call is over."""
        with self._lock:
            self._users -= 1
            if not self._users and self._ours:
                self._ours = False
                tracer.stop()


_tracer = _Tracer()


class MemoryCall(Call):
    """One call while it runs: what was allocated inside its steps and is still there at their end."""

    __slots__ = ("_before", "_snapshot")

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._before = -1
        self._snapshot: Any = None
        if tracer is None:
            return
        self.size_diff = 0
        _tracer.acquire()
        if profile.key_type is not None:
            self._snapshot = _snapshot()
            self.begun = monotonic()

    def enter(self) -> None:
        """Note the start of a step."""
        super().enter()
        if tracer is not None:
            self._before = tracer.get_traced_memory()[0] if tracer.is_tracing() else -1

    def leave(self) -> None:
        """Ends a step. If tracing was switched off meanwhile, the growth of the call is unknown."""
        if tracer is not None and self.size_diff is not None:
            known = self._before >= 0 and tracer.is_tracing()
            self.size_diff = self.size_diff + tracer.get_traced_memory()[0] - self._before if known else None
        super().leave()

    def end(self, error: BaseException | None) -> None:
        """Ends the call; compares with its start if a key type was given."""
        self.over = monotonic()
        try:
            if self._snapshot is not None:
                self.rows = _compare(self._snapshot, self.profile.key_type, self.profile.cumulative)
        finally:
            if tracer is not None:
                _tracer.release()
            super().end(error)


def _snapshot() -> Any:
    import tracemalloc

    return tracemalloc.take_snapshot() if tracemalloc.is_tracing() else None


def _compare(before: Any, key_type: Any, cumulative: bool) -> list[Any] | None:
    import tracemalloc

    after = _snapshot()
    if after is None:
        return None
    hide = [tracemalloc.Filter(False, file) for file in (__file__, wrappers.__file__, tracemalloc.__file__)]
    found = after.filter_traces(hide).compare_to(before.filter_traces(hide), key_type, cumulative)
    return [
        [_place(each.traceback), each.size, each.size_diff, each.count, each.count_diff]
        for each in found[:MOST_ROWS]
        if each.size_diff or each.count_diff
    ]


def _place(traceback: Any) -> tuple[str, int]:
    """The line that allocated, which tracemalloc keeps last."""
    return traceback[-1].filename, traceback[-1].lineno


def _decorate(function: Any, kind: str, keep: int, key_type: str | None = None, cumulative: bool = False) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_decorate(function.__func__, kind, keep, key_type, cumulative))
    profile = Profile(function, shape(function), kind, keep, key_type, cumulative)
    profiles: dict[Any, Profile] = sys.__dict__.setdefault(REGISTRY, {})
    key = (profile.module, profile.function, profile.file, profile.line, kind, key_type, cumulative)
    there = profiles.get(key)  # a function defined inside another is created repeatedly and has one profile
    if there is not None:
        profile = there
    elif len(profiles) < MOST_PROFILES:
        profiles[key] = profile
    return wrapped(function, profile.begin)


@overload
def profile_time(function: F) -> F: ...
@overload
def profile_time(*, keep: int = ...) -> Callable[[F], F]: ...
def profile_time(function: Any = None, *, keep: int = KEEP) -> Any:
    """Records how long each call took, and how much of that was spent inside its steps (`busy`)."""
    if function is None:
        return lambda function: _decorate(function, "time", keep)
    return _decorate(function, "time", keep)


@overload
def profile_memory(function: F) -> F: ...
@overload
def profile_memory(*, key_type: str | None = ..., cumulative: bool = ..., keep: int = ...) -> Callable[[F], F]: ...
def profile_memory(
    function: Any = None, *, key_type: str | None = None, cumulative: bool = False, keep: int = KEEP
) -> Any:
    """Records by how much the traced memory grew in each call (`size_diff`); tracemalloc is on meanwhile.

    With a `key_type` (lineno, filename or traceback) two snapshots a call are compared, too, as
    `tracemalloc.Snapshot.compare_to` does, and the ten largest differences are kept. That takes a second and
    more with millions of traced blocks. Allocations of other threads in the meantime count as well.
    """
    if key_type is not None and key_type not in KEY_TYPES:
        raise ValueError(f"key_type: None or one of {', '.join(KEY_TYPES)}")
    if cumulative and key_type == "traceback":
        raise ValueError("cumulative: with key_type lineno or filename")
    if function is None:
        return lambda function: _decorate(function, "memory", keep, key_type, cumulative)
    return _decorate(function, "memory", keep, key_type, cumulative)


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
