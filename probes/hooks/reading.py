"""Reads objects of the program in the probe's threads, so that these never let go of the last reference to one.

A thread may lose the GIL between any two instructions. If the program drops a generator, a frame or a task that the
probe is reading, the last reference would be the probe's, and finalizers (`finally`, `__del__`, "exception was never
retrieved") would run in its thread. With the hooks in C there are two remedies:

* what is needed most is read in one piece by C, which leaves no reference (native/stacks.c): await stacks, stacks of
  threads, states of tasks;
* all else is read by functions called through `read`. What they get hold of is passed through `hold` or `referents`,
  and if the program has dropped it by the end, the thread of the task's loop lets go of it (native/reading.c).

With the hooks in Python neither is possible: the probe's thread keeps references for as short as it can.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from _thread import get_ident
from asyncio import tasks as asyncio_tasks
from contextlib import suppress
from types import BuiltinFunctionType, CodeType, FrameType
from typing import TYPE_CHECKING, Any

from ..base import process, sites, stacks
from ..base.task_facts import coro_of
from ..base.turns import turns
from . import install

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from .records import LoopRecord, TaskRecord

    Lines = list[tuple[CodeType, int]]

Place = tuple[CodeType, int, Any]
"""Code, line, and what `values_of` reads the variables from."""

NAMES = frozenset({"self", "h", "delay", "loop", "fut", "fs", "sock", "func", "worker"})
"""The variables that say what a frame of asyncio or of a library waits for (see inspection/waits.py)."""
MOST_LIBRARY_FRAMES = 20
_MOST_CODES = 2000
_TASKS_AT_ONCE = 250


def _learn() -> Any:
    shared = install.native_state
    if shared is None:
        return None
    in_c = [
        found if type(found) is BuiltinFunctionType else None
        for found in (asyncio_tasks.all_tasks, asyncio_tasks.current_task)
    ]
    try:
        shared.learn_reading(CodeType, ".decorators.wrappers", sys._current_frames, gc.get_objects, *in_c)
    except Exception:
        return None
    return shared


_native = _learn()


def _read(reference: weakref.ref[Any], function: Callable[..., Any], *arguments: Any) -> Any:
    thing = reference()
    return None if thing is None else function(thing, *arguments)


read: Callable[..., Any] = _read if _native is None else _native.read
"""`read(reference, function, *arguments)`: calls `function(object, *arguments)` with the object of a weak reference.

None if there is none any more. The result must not refer to objects of the program."""


class _Anything:
    pass


_anything = _Anything()
_of_anything = weakref.ref(_anything)


def read_any(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function that gets hold of objects of no task in particular, as `read` does: the main thread lets go."""
    return read(_of_anything, _without, function, *arguments)


def _without(_thing: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _hold(thing: Any) -> Any:
    return thing


hold: Callable[[Any], Any] = _hold if _native is None else _native.hold
"""Returns an object of the program; what is called by `read` may then forget it at any time."""
hold_all: Callable[[list[Any]], list[Any]] = _hold if _native is None else _native.hold_all


def _some_referents(thing: Any, most: int = 1000) -> list[Any]:
    return gc.get_referents(thing)[:most]


referents: Callable[..., list[Any]] = _some_referents if _native is None else _native.some_referents
"""`referents(thing, most=1000)`: what an object refers to, without running code of the program.

At most so many: a program may have all of its tasks in one dictionary, and refer to that from each of them."""


def frames_of_others() -> dict[int, Any]:
    """The current frame of each thread except this one. Its own frame in a local name would be a reference cycle, which
    would keep frames of the program alive until the next garbage collection. Empty beside sub-interpreters.
    """
    if process.has_sub_interpreters():
        return {}
    frames: dict[int, Any] = sys._current_frames()
    frames.pop(get_ident(), None)
    hold_all(list(frames.values()))
    return frames


def callbacks_of(future: Any) -> list[Any]:
    """The done-callbacks of a future, without their contexts."""
    entries = list(getattr(future, "_callbacks", None) or ())
    return [hold_all(list(entry))[0] for entry in entries]


def closure_of(function: Any) -> dict[str, Any]:
    """The variables that a function closes over."""
    found = stacks.closure_of(function)
    hold_all(list(found.values()))
    return found


def settle(loop: LoopRecord | None) -> None:
    """Lets go, in the thread of a loop, of what the program dropped while it was read. None: of what no loop let go."""
    if _native is not None:
        _native.drop_held(loop)


# Await stacks


def await_stack(task: Any) -> Lines:
    """The await stack of a task (or of its record), outermost first. Keeps no reference."""
    if _native is not None:
        found: Lines | None = _native.await_stack(task)
        if found is not None:
            return found
    if isinstance(task, weakref.ref):
        task = task()
    return [] if task is None else [(code, line) for code, line, _ in stacks.frames_of(coro_of(task))]


def frames_of(task: Any) -> list[Place]:
    """The await stack of a task, outermost first, with what `values_of` reads the innermost frames' variables from."""
    if _native is None or (lines := _native.await_stack(task)) is None:
        return stacks.frames_of(coro_of(task))
    wanted: list[tuple[CodeType, tuple[str, ...]]] = []
    for code, _ in reversed(lines[-MOST_LIBRARY_FRAMES:]):
        if not (sites.is_stdlib(code.co_filename) or sites.is_package(code.co_filename)):
            break
        wanted.append((code, _names_in(code)))
    wanted.reverse()
    values = (_native.await_values(task, wanted) if wanted else None) or []
    first = len(lines) - len(values)
    return [(*line, values[place - first] if place >= first else None) for place, line in enumerate(lines)]


def values_of(place: Any) -> dict[str, Any] | None:
    """The variables of a frame of asyncio or a library, some of them; None if they were not read."""
    return place.f_locals if type(place) is FrameType else place


_names: dict[CodeType, tuple[str, ...]] = {}


def _names_in(code: CodeType) -> tuple[str, ...]:
    found = _names.get(code)
    if found is None:
        if len(_names) >= _MOST_CODES:
            _names.clear()
        found = _names[code] = tuple(NAMES.intersection((*code.co_varnames, *code.co_cellvars, *code.co_freevars)))
    return found


def _own_place(coro: Any) -> tuple[CodeType, int, dict[str, Any]] | None:
    frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None)
    if frame is None:
        return None
    return frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno, frame.f_globals


own_place: Callable[[Any], tuple[CodeType, int, dict[str, Any]] | None] = (
    _own_place if _native is None else _native.own_place
)
"""Code, line and globals of the own frame of a suspended coroutine or async generator; None if it has none."""


# Threads


def threads() -> list[int]:
    """The identities of all other threads that run Python. None while there are sub-interpreters."""
    if process.has_sub_interpreters():
        return []
    if _native is not None:
        return _native.other_threads()  # type: ignore[no-any-return]
    return [ident for ident in sys._current_frames() if ident != get_ident()]


def thread_stack(ident: int) -> Lines:
    """The stack of another thread, innermost first; empty if it has none."""
    return thread_stacks((ident,)).get(ident, [])


def thread_stacks(wanted: Collection[int] | None = None) -> dict[int, Lines]:
    """The stacks of other threads, innermost first, by identity. None: of all. Nothing beside sub-interpreters."""
    if process.has_sub_interpreters():
        return {}
    if _native is not None:
        return _native.thread_stacks(wanted)  # type: ignore[no-any-return]
    frames = sys._current_frames()
    frames.pop(get_ident(), None)
    return {ident: _lines(frame) for ident, frame in frames.items() if wanted is None or ident in wanted}


def _lines(frame: FrameType | None) -> Lines:
    found = []
    while frame is not None:
        found.append((frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno))
        frame = frame.f_back
    return found


# Tasks


def _is_alive(reference: weakref.ref[Any]) -> bool:
    return reference() is not None


is_alive: Callable[[weakref.ref[Any]], bool] = _is_alive if _native is None else _native.is_alive
"""Whether the object of a weak reference still exists."""


def running_record(loop: Any) -> TaskRecord | None:
    """The record of the task that a loop runs now."""
    if _native is not None:
        return _native.running_record(loop)  # type: ignore[no-any-return]
    return install.record_of(install.current_task_of(loop))


def strangers(loop: Any) -> Iterator[weakref.ref[Any]]:
    """The tasks of a loop that the sampler does not know, with turns of the program in between."""
    if _native is None:
        with suppress(RuntimeError):  # the set changed too often while it was copied
            refs = [weakref.ref(task) for task in asyncio.all_tasks(loop) if not _is_known(task)]
            yield from turns.over(refs)
        return
    for tasks in task_sets():
        known = list(tasks)
        for start in range(0, len(known), _TASKS_AT_ONCE):
            turns.give()
            yield from _native.strangers([known[start : start + _TASKS_AT_ONCE]], loop)
    yield from _native.strangers([], loop)


def _is_known(task: Any) -> bool:
    record = install.record_of(task)
    return record is not None and getattr(record, "steps_reported", -1) >= 0


def task_sets() -> list[set[weakref.ref[Any]]]:
    """The sets in which asyncio has weak references to tasks, also to those that have ended: 3.14 has them in C."""
    found = {}
    for name in ("_all_tasks", "_scheduled_tasks"):
        data = getattr(getattr(asyncio_tasks, name, None), "data", None)
        if type(data) is set:
            found[id(data)] = data
    return list(found.values())


def state_of(record: TaskRecord) -> int:
    """The state of a task as an index of protocol.STATES; -1: it is no more, -2: it must be read in Python."""
    return -2 if _native is None else _native.state_of(record)


def instances(kinds: tuple[type, ...], generation: int | None = None) -> list[Any]:
    """All objects of these classes and their subclasses, as far as the collector knows them."""
    if _native is not None:
        return _native.instances(generation, kinds)  # type: ignore[no-any-return]
    return [thing for thing in gc.get_objects(generation) if issubclass(type(thing), kinds)]
