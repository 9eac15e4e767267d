"""Tasks that can never wake: nothing alive refers to what they wait for. By reading only, in slices.

The idea is that of Go's goroutine leak profile, with the means of Python's garbage collector. What the suspended tasks
under suspicion refer to is visited, and the references found are subtracted from each reference count. An object with
references left over is held from elsewhere: by a module, a task that runs or waits for a timer or a socket, the
selector, a frame of a thread, or by C. It is alive, and so is what can be reached from it. A task that waits for an
alive future is alive, and so is what it refers to; a task that is not alive makes nothing alive, however many refer to
it. What remains can never wake.

What is not visited counts as alive, so that limits, C and races can hide an orphan but hardly make one up; and a task
must be found in two searches in a row. No object is kept between slices, and no code of the program runs.
"""

from __future__ import annotations

import asyncio
import gc
from itertools import islice
from time import monotonic, thread_time
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.task_facts import coro_of, is_done
from ..base.turns import turns
from ..hooks import reading
from ..hooks.backend import FREE_THREADED
from ..hooks.reading import callbacks_of, hold, referents
from .orphan_graph import CONTAINERS, MOST_ITEMS, MOST_OBJECTS, Graph, names_cancel
from .queues import chain, in_cell, may_hold, of_each

if TYPE_CHECKING:
    import dis
    import weakref
    from collections.abc import Iterator

    from ..hooks.records import TaskRecord

MOST_SUSPECTS = 3_000
MOST_FAILED = 200
MOST_YOUNG = 20_000
_SHARE, _HURRY = 100, 50
"""Searching takes at most this fraction (1/N) of a core; more while something is found that is to be confirmed."""
_UNWATCHED_SHARE = 2_000

_FOREVER = frozenset({"Future", "create_future", "Event"})


class Orphans:
    """The tasks that were found in the newest search and in the one before. Used by `stuck`."""

    def __init__(self) -> None:
        self.tasks: set[int] = set()
        self.spent = 0.0  # CPU time (s)
        self._watched = True
        self._before: dict[int, int] = {}  # steps of those found in the newest search
        self._due = 0.0

    def watch(self, watched: bool) -> None:
        """Searches more rarely while no viewer asks, as for the black box."""
        if watched and not self._watched:
            self._due = 0.0
        self._watched = watched

    def clear(self) -> None:
        """Forgets all of them."""
        self.tasks.clear()
        self._before.clear()
        self._due = 0.0

    def _give_up(self, began: float, cpu: float) -> None:
        self.tasks.clear()
        self._before.clear()
        self.spent += thread_time() - cpu
        self._due = monotonic() + _SHARE * (self.spent - began)

    def search(self, records: list[TaskRecord], steps: dict[int, int], ended: list[weakref.ref[Any]]) -> Iterator[None]:
        """Searches among those tasks of which the number of steps is given; `ended`: tasks that are done."""
        self.tasks = {number for number in self.tasks if steps.get(number) == self._before.get(number)}
        if FREE_THREADED or not steps or monotonic() < self._due:
            return
        began, cpu = self.spent, thread_time()
        chosen = list(islice((record for record in turns.over(records) if record.id in steps), MOST_SUSPECTS))
        graph = Graph()
        for record in turns.over(chosen):
            reading.read(record, graph.suspect, record.id)
        for record in chosen:
            if turns.due():
                self.spent += thread_time() - cpu
                yield
                cpu = thread_time()
            try:
                if reading.read(record, graph.add_task, steps[record.id], record) is None:
                    graph.drop(record.id)
            except Exception:  # it changed while it was read: what was counted of it is not to be trusted
                self._give_up(began, cpu)
                return
        for ref in ended:
            if turns.due():
                self.spent += thread_time() - cpu
                yield
                cpu = thread_time()
            try:
                reading.read(ref, _add_failure, graph)
            except Exception:  # it changed while it was read
                continue
        reading.read_any(_add_young_failures, graph)
        analysis = graph.never_wake()
        while True:
            try:
                next(analysis)
            except StopIteration as result:
                found = {graph.suspects[key] for key in result.value}
                break
            self.spent += thread_time() - cpu
            yield
            cpu = thread_time()
        if found:
            expected = _Expected(found)
            for _ in of_each(records, expected.look):
                self.spent += thread_time() - cpu
                yield
                cpu = thread_time()
            found = expected.others()
        self.tasks = {number for number in found if self._before.get(number) == steps[number]}
        self._before = {number: steps[number] for number in found}
        self.spent += thread_time() - cpu
        share = _UNWATCHED_SHARE if not self._watched else _HURRY if found - self.tasks else _SHARE
        self._due = monotonic() + share * (self.spent - began)


def _add_failure(task: Any, graph: Graph) -> None:
    error = hold(task._exception) if is_done(task) else None  # a plain read: `exception()` would mark it as retrieved
    if error is not None:
        graph.add_failure(error)


def _add_young_failures(graph: Graph) -> None:
    """Adds the exceptions that the garbage collector has not looked at for long.

    An exception that came through a future is in a cycle with it, and keeps its frames until a collection; a program
    that stands still has none.
    """
    thresholds = gc.get_threshold()
    sizes = [gc.get_count()[0], gc.get_count()[1] * thresholds[0]]
    if not thresholds[2]:  # the incremental collector of the first 3.14s: objects of its others are of any age
        del sizes[1:]
    for generation, size in enumerate(sizes):
        if size <= MOST_YOUNG:
            errors = reading.instances((BaseException,), generation)
            for error in errors[-MOST_FAILED:]:
                graph.add_failure(error)


class _Expected:
    """Tells tasks that wait forever on purpose, and those that a task which is alive can cancel."""

    def __init__(self, found: set[int]) -> None:
        self._found = found
        self._on_purpose: set[int] = set()
        self._tasks: dict[int, int] = {}  # by id()
        self._held: set[int] = set()  # id() of tasks that may be cancelled

    def look(self, task: Any, number: int) -> None:
        """Looks at a task, whether it was found or not."""
        if number in self._found:
            self._tasks[id(task)] = number
            if _is_main(task) or _means_forever(task):
                self._on_purpose.add(number)
            return
        for coro in chain(coro_of(task)):
            code = getattr(coro, "cr_code", None) or coro.ag_code
            cancels = "cancel" in code.co_names
            for variable in referents(coro):
                held = in_cell(variable) if type(variable) is CellType else variable
                if cancels:
                    self._held.update(_tasks_in(held))
                elif may_hold(held) and names_cancel(type(held)):
                    for inner in referents(held, MOST_OBJECTS):
                        self._held.update(_tasks_in(inner))

    def others(self) -> set[int]:
        """Those that were found and are neither."""
        held = {self._tasks[key] for key in self._held & self._tasks.keys()}
        return self._found - self._on_purpose - held


def _tasks_in(thing: Any, depth: int = 0) -> set[int]:
    """The tasks (by id()) that a variable refers to, also in containers and attributes."""
    kind = type(thing)
    if issubclass(kind, asyncio.Task):
        return {id(thing)}
    if depth > 2 or not (kind in CONTAINERS or may_hold(thing)):
        return set()
    inner = referents(thing, MOST_ITEMS)
    return {key for held in inner for key in _tasks_in(held, depth + (kind is not dict))}


def _is_main(task: Any) -> bool:
    """Whether it is what a loop runs until it is complete: it may wait for a signal."""
    return any(
        "run_until_complete" in callback.__qualname__
        for callback in callbacks_of(task)
        if type(callback) is FunctionType or type(callback).__name__ == "cython_function_or_method"
    )


def _means_forever(task: Any) -> bool:
    """Whether it waits for an event or a future that its code makes and gives to nobody.

    As in `await asyncio.Event().wait()`, or with a name for it that is used for nothing else.
    """
    inner = None
    for coro in chain(coro_of(task)):
        code = getattr(coro, "cr_code", None) or coro.ag_code
        if not sites.is_stdlib(code.co_filename):
            inner = coro
    code = getattr(inner, "cr_code", None) or getattr(inner, "ag_code", None)
    frame = getattr(inner, "cr_frame", None) or getattr(inner, "ag_frame", None)
    if code is None or frame is None or _FOREVER.isdisjoint(code.co_names):
        return False
    if any(issubclass(type(held), (asyncio.Future, asyncio.Event)) for held in referents(inner)):
        return _gives_to_nobody(code, frame.f_lasti)
    return True


def _gives_to_nobody(code: CodeType, lasti: int) -> bool:
    """Whether the variable that is awaited at an instruction is assigned once, and used there only."""
    import dis  # not loaded unless something was found

    instructions = list(dis.get_instructions(code))
    places = [place for place, one in enumerate(instructions) if one.offset <= lasti]
    while places and instructions[places[-1]].opname != "GET_AWAITABLE":
        places.pop()
    name = next(
        (_variables(instructions[place])[1] for place in reversed(places) if _variables(instructions[place])[1]), []
    )
    if not name or name[-1] in code.co_cellvars:
        return False
    stored = [place for place, one in enumerate(instructions) if name[-1] in _variables(one)[0]]
    loads = sum(_variables(one)[1].count(name[-1]) for one in instructions)
    return len(stored) == 1 and loads == 1 and instructions[stored[0] - 1].opname != "COPY"


def _variables(instruction: dis.Instruction) -> tuple[list[str], list[str]]:
    """The local names that an instruction assigns, and those that it loads; some do two at once."""
    names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
    kinds = [part for part in instruction.opname.split("_") if part in ("STORE", "LOAD")]
    if "_FAST" not in instruction.opname or len(kinds) < len(names):
        return [], []
    pairs = list(zip(kinds, names, strict=False))
    return [name for kind, name in pairs if kind == "STORE"], [name for kind, name in pairs if kind == "LOAD"]
