"""What tasks under suspicion refer to, as a graph of ids with reference counts; `orphans` says what it is for.

Objects are visited with `gc.get_referents`, which runs no code of the program, and none is kept.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import weakref
from collections import deque
from contextvars import Context
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    ModuleType,
    TracebackType,
)
from typing import TYPE_CHECKING, Any

from ..base.task_facts import coro_of, is_done
from ..hooks.backend import shared
from ..hooks.reading import hold
from .own_refs import OwnRef

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from ..hooks.records import TaskRecord

MOST_OBJECTS = 400
"""Most objects that are visited from one task."""
MOST_ITEMS = 1_000
"""A larger container is not visited."""
_DEPTH = 6
_AT_ONCE = 1_000
"""Objects that are compared in one slice."""

CONTAINERS = (list, tuple, dict, set, frozenset, deque)
_COROUTINES = (CoroutineType, GeneratorType, AsyncGeneratorType)
_EDGES = (type, ModuleType, CodeType, Context, asyncio.AbstractEventLoop, str, bytes)
"""What is never visited: it leads to everything, or to nothing."""


_mro = type.__dict__["__mro__"].__get__
_attributes = type.__dict__["__dict__"].__get__
"""Of a class, without code of its metaclass."""


def _overhead() -> int:
    """What `getrefcount` adds for the variable and the call in `Graph._visit`."""
    pending = deque([object()])
    thing = pending.popleft()
    return sys.getrefcount(thing)


def _shared_overhead() -> int:
    """The same for a weak reference in `Graph._is_watched`."""
    thing = OwnRef  # any object that can be referred to weakly
    made = OwnRef(thing)
    return max(sys.getrefcount(ref) for ref in weakref.getweakrefs(thing) if ref is made) - 1


_OVERHEAD, _SHARED = _overhead(), _shared_overhead()


class Graph:
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

    def add_task(self, task: Any, steps: int, record: TaskRecord) -> bool:
        """Visits what a suspended task refers to; one that has woken meanwhile is no suspect any more."""
        leaf = task._fut_waiter
        if leaf is None or is_done(leaf) or record.steps != steps:
            self.suspects.pop(id(task), None)
            return False
        self.leaves[id(task)] = id(leaf)
        self.coros.add(id(coro_of(task)))
        leaf = None
        self._visit(task)
        return True

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
            hold(thing)
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
            if issubclass(kind, CONTAINERS):
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
    return not (issubclass(kind, CONTAINERS) and _length(thing) > MOST_ITEMS)


def _length(thing: Any) -> int:
    """The number of items of a container of the standard library, without code of a subclass."""
    for base in CONTAINERS:
        if issubclass(type(thing), base):
            return base.__len__(thing)
    return 0


def _referents(thing: Any, kind: type) -> Iterable[Any]:
    """What an object refers to, as often as it does."""
    if kind is FunctionType:  # its globals lead to everything
        closure = thing.__closure__
        return () if closure is None else (closure,)
    # Since 3.14 a frame may have references on its stack that are visited, but not counted. They are never there across
    # an `await`: the compiler uses them only where they are consumed in the same block of instructions.
    return gc.get_referents(thing)


def names_cancel(kind: type) -> bool:
    """Whether a method of a class calls something named `cancel`."""
    for base in _mro(kind):
        for function in list(_attributes(base).values()):
            if type(function) is FunctionType and "cancel" in function.__code__.co_names:
                return True
    return False
