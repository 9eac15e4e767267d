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
import itertools
import sys
import weakref
from collections import deque
from contextvars import Context
from time import monotonic, thread_time
from types import (
    AsyncGeneratorType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    ModuleType,
    TracebackType,
)
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.stacks import callbacks_of
from ..hooks.backend import FREE_THREADED, shared
from ..hooks.records import coro_of, is_done
from .own_refs import OwnRef
from .queues import chain, in_cell, may_hold, of_each

if TYPE_CHECKING:
    import dis
    from collections.abc import Generator, Iterable, Iterator

    from ..hooks.records import TaskRecord

MOST_SUSPECTS = 3_000
MOST_OBJECTS = 400
"""Most objects that are visited from one task."""
MOST_ITEMS = 1_000
"""A larger container is not visited."""
MOST_FAILED = 200
MOST_YOUNG = 20_000
_DEPTH = 6
_SHARE, _HURRY = 100, 50
"""Searching takes at most this fraction (1/N) of a core; more while something is found that is to be confirmed."""
_UNWATCHED_SHARE = 2_000
_SLICE = 10

_AT_ONCE = 1_000
"""Objects that are compared in one slice."""

_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
_COROUTINES = (CoroutineType, GeneratorType, AsyncGeneratorType)
_EDGES = (type, ModuleType, CodeType, Context, asyncio.AbstractEventLoop, str, bytes)
"""What is never visited: it leads to everything, or to nothing."""
_FOREVER = frozenset({"Future", "create_future", "Event"})
_BORROWS = sys.version_info >= (3, 14)
"""Suspended frames may have references on their stack that are not counted, but visited."""


_mro = type.__dict__["__mro__"].__get__
_attributes = type.__dict__["__dict__"].__get__
"""Of a class, without code of its metaclass."""


def _overhead() -> int:
    """What `getrefcount` adds for the variable and the call in `_Graph._visit`."""
    pending = deque([object()])
    thing = pending.popleft()
    return sys.getrefcount(thing)


def _shared_overhead() -> int:
    """The same for a weak reference in `_Graph._is_watched`."""
    thing = OwnRef  # any object that can be referred to weakly
    made = OwnRef(thing)
    return max(sys.getrefcount(ref) for ref in weakref.getweakrefs(thing) if ref is made) - 1


_OVERHEAD, _SHARED = _overhead(), _shared_overhead()


class _Graph:
    """The objects that tasks under suspicion refer to, by id()."""

    def __init__(self) -> None:
        self.suspects: dict[int, int] = {}  # the ids of the tasks, by id()
        self.keys: dict[int, int] = {}  # and the other way round
        self.leaves: dict[int, int] = {}  # what each of them waits for
        self.coros: set[int] = set()  # theirs: no other than the task can run one
        self.counts: dict[int, int] = {}  # reference counts
        self.found: dict[int, int] = {}  # references that were found
        self.inner: dict[int, list[int]] = {}  # what an object makes alive
        self.kinds: dict[int, int] = {}
        self.containers: set[int] = set()
        self.cancellers: set[int] = set()  # objects of a class that cancels something
        self.alive: set[int] = set()
        self._cancels: dict[int, tuple[weakref.ref[type], bool]] = {}

    def add_task(self, task: Any, steps: int, record: TaskRecord) -> None:
        """Visits what a suspended task refers to; one that has woken meanwhile is no suspect any more."""
        leaf = task._fut_waiter
        if leaf is None or is_done(leaf) or record.steps != steps:
            self.suspects.pop(id(task), None)
            return
        self.leaves[id(task)] = id(leaf)
        self.coros.add(id(coro_of(task)))
        leaf = None
        self._visit(task)

    def suspect(self, task: Any, number: int) -> None:
        """Puts a task under suspicion."""
        self.suspects[id(task)] = number
        self.keys[number] = id(task)

    def drop(self, number: int) -> None:
        """Takes a task for alive."""
        self.suspects.pop(self.keys.pop(number, 0), None)

    def add_failure(self, error: BaseException) -> None:
        """Visits the frames that an exception keeps: they are over, and make nothing alive."""
        self._visit(error)

    def _visit(self, start: Any) -> None:
        pending, depths, queued = deque([start]), deque([0]), {id(start)}
        start = None
        left = MOST_OBJECTS
        while pending and left:
            left -= 1
            thing = pending.popleft()
            depth = depths.popleft()
            key, kind = id(thing), type(thing)
            count = sys.getrefcount(thing) - _OVERHEAD
            if key in self.counts:  # by an earlier task; or another object at the place of one that has gone
                self.counts[key] = max(self.counts[key], count)
                if self.kinds[key] != id(kind):
                    self.alive.add(key)
                continue
            self.counts[key] = count
            self.kinds[key] = id(kind)
            if self._is_watched(thing, kind):
                self.alive.add(key)
            inner: Iterable[Any] | None = _referents(thing, kind)
            over = kind is TracebackType or kind is FrameType
            edges: list[int] = []
            self.inner[key] = [] if over else edges
            deeper = depth if kind is dict or over or issubclass(kind, _COROUTINES) else depth + 1
            for held in inner or ():
                other = id(held)
                self.found[other] = self.found.get(other, 0) + 1
                edges.append(other)
                if other in queued or other in self.suspects or deeper > _DEPTH or not _is_visited(held, over):
                    continue
                queued.add(other)
                pending.append(held)  # once: each place here is one more reference
                depths.append(deeper)
            held = inner = None
            if issubclass(kind, _CONTAINERS):
                self.containers.add(key)
            elif self._can_cancel(kind):
                self.cancellers.add(key)
        thing = None

    @staticmethod
    def _is_watched(thing: Any, kind: type) -> bool:
        """Whether the program refers to an object weakly."""
        if not weakref.getweakrefcount(thing) or issubclass(kind, (asyncio.Task, AsyncGeneratorType)):
            return False  # loops refer weakly to their tasks and asynchronous generators
        for ref in weakref.getweakrefs(thing):
            if type(ref) is OwnRef:
                continue
            # One reference to it is that of the step ring, in C; a plain one may be the program's as well.
            own = _SHARED + (shared is not None and shared.trace_refers(thing))
            if type(ref) is not weakref.ref or sys.getrefcount(ref) > own:
                return True
        return False

    def _can_cancel(self, kind: type) -> bool:
        known = self._cancels.get(id(kind))
        if known is not None and known[0]() is kind:
            return known[1]
        cancels = kind.__flags__ & (1 << 9) != 0 and not issubclass(kind, asyncio.TaskGroup) and names_cancel(kind)
        self._cancels[id(kind)] = OwnRef(kind), cancels
        return cancels

    def never_wake(self) -> Generator[None, None, set[int]]:
        """The tasks (by id()) for which no future is alive, and that nothing alive is about to cancel; in slices."""
        for place, (key, count) in enumerate(self.counts.items()):
            if count > self.found.get(key, 0):
                self.alive.add(key)
            if place % _AT_ONCE == 0:
                yield
        self.alive -= self.suspects.keys() | self.coros
        awake: set[int] = set()
        waiting: dict[int, list[int]] = {}
        pending = list(self.alive)
        for task in self.suspects:
            leaf = self.leaves.get(task)
            if leaf is None or (leaf not in self.suspects and (leaf not in self.counts or leaf in self.alive)):
                awake.add(task)
                pending.append(task)
            else:
                waiting.setdefault(leaf, []).append(task)
        for place in itertools.count(1):
            if not pending:
                break
            key = pending.pop()
            for task in waiting.pop(key, ()):
                awake.add(task)
                pending.append(task)
            for other in self.inner.get(key, ()):
                if other in self.coros and key not in self.suspects:
                    continue
                if other not in self.alive and other not in self.suspects:
                    self.alive.add(other)
                    pending.append(other)
            if place % _AT_ONCE == 0:
                yield
        return self.suspects.keys() - awake - self._about_to_be_cancelled()

    def _about_to_be_cancelled(self) -> set[int]:
        """The tasks that an object refers to which is alive and can cancel, such as a timeout they are inside of."""
        found: set[int] = set()
        for canceller in self.cancellers & self.alive:
            pending = [(canceller, 0)]
            while pending:
                key, depth = pending.pop()
                for other in self.inner.get(key, ()):
                    if other in self.suspects:
                        found.add(other)
                    elif depth < 3 and other in self.containers:
                        pending.append((other, depth + 1))
        return found


def _is_visited(thing: Any, over: bool) -> bool:
    kind = type(thing)
    if not gc.is_tracked(thing) or issubclass(kind, _EDGES) or issubclass(kind, asyncio.Task):
        return False
    if kind is FrameType:
        return over
    return not (issubclass(kind, _CONTAINERS) and _length(thing) > MOST_ITEMS)


def _length(thing: Any) -> int:
    """The number of items of a container of the standard library, without code of a subclass."""
    for base in _CONTAINERS:
        if issubclass(type(thing), base):
            return base.__len__(thing)
    return 0


def _referents(thing: Any, kind: type) -> Iterable[Any]:
    """What an object refers to, as often as it does."""
    if kind is FunctionType:  # its globals lead to everything
        closure = thing.__closure__
        return () if closure is None else (closure,)
    held = gc.get_referents(thing)
    if _BORROWS and issubclass(kind, _COROUTINES):
        held = list({id(one): one for one in held}.values())
    return held


def names_cancel(kind: type) -> bool:
    """Whether a method of a class calls something named `cancel`."""
    for base in _mro(kind):
        for function in list(_attributes(base).values()):
            if type(function) is FunctionType and "cancel" in function.__code__.co_names:
                return True
    return False


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
        chosen = [record for record in records if record.id in steps][:MOST_SUSPECTS]
        graph = _Graph()
        task: Any = None
        for record in chosen:
            task = record()
            if task is not None:
                graph.suspect(task, record.id)
        for place, record in enumerate(chosen):
            if place % _SLICE == 0:
                task = None
                self.spent += thread_time() - cpu
                yield
                cpu = thread_time()
            task = record()
            if task is None:
                graph.drop(record.id)
                continue
            try:
                graph.add_task(task, steps[record.id], record)
            except Exception:  # it changed while it was read: what was counted of it is not to be trusted
                self._give_up(began, cpu)
                return
        task = None
        for place, ref in enumerate(ended):
            if place % _SLICE == 0:
                self.spent += thread_time() - cpu
                yield
                cpu = thread_time()
            _add_failure(graph, ref)
        _add_young_failures(graph)
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
            for _ in of_each(records, _SLICE, expected.look):
                self.spent += thread_time() - cpu
                yield
                cpu = thread_time()
            found = expected.others()
        self.tasks = {number for number in found if self._before.get(number) == steps[number]}
        self._before = {number: steps[number] for number in found}
        self.spent += thread_time() - cpu
        share = _UNWATCHED_SHARE if not self._watched else _HURRY if found - self.tasks else _SHARE
        self._due = monotonic() + share * (self.spent - began)


def _add_failure(graph: _Graph, ref: weakref.ref[Any]) -> None:
    task = ref()
    if task is None or not is_done(task):
        return
    error = None
    try:
        error = task._exception  # a plain read: `exception()` would mark it as retrieved
        if error is not None:
            graph.add_failure(error)
    except Exception:
        return
    finally:
        del error


def _add_young_failures(graph: _Graph) -> None:
    """Adds the exceptions that the garbage collector has not looked at for long.

    An exception that came through a future is in a cycle with it, and keeps its frames until a collection; a program
    that stands still has none.
    """
    young = gc.get_count()[0], gc.get_count()[1] * gc.get_threshold()[0]
    for generation, size in enumerate(young):
        if size <= MOST_YOUNG and not (_BORROWS and generation):
            errors = [one for one in gc.get_objects(generation) if issubclass(type(one), BaseException)]
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
            for variable in gc.get_referents(coro):
                held = in_cell(variable) if type(variable) is CellType else variable
                if cancels:
                    self._held.update(_tasks_in(held))
                elif may_hold(held) and names_cancel(type(held)):
                    for inner in gc.get_referents(held)[:MOST_OBJECTS]:
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
    if depth > 2 or not (kind in _CONTAINERS or may_hold(thing)):
        return set()
    inner = gc.get_referents(thing)[:MOST_ITEMS]
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
    if any(issubclass(type(held), (asyncio.Future, asyncio.Event)) for held in gc.get_referents(inner)):
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
