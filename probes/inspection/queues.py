"""Queues and semaphores found while reading tasks, and how full they are. Nothing is hooked.

They are found where a task waits on them, or has them in a local variable, in an attribute of an object there, or in a
global of its module: `gc.get_referents` of a coroutine visits its variables without side effects (`f_locals` would keep
them alive). No code of the program runs.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from types import AsyncGeneratorType, CellType, CoroutineType, ModuleType
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.task_facts import coro_of, is_done
from ..base.turns import turns
from ..hooks import reading
from ..hooks.reading import hold, referents
from .own_refs import OwnRef

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType

    from ..base.sites import Tables
    from ..hooks.reading import Place
    from ..hooks.records import TaskRecord

MOST_THINGS = 2_000
MOST_ROWS = 100
MOST_TEXT = 120
SEARCHED = 100
"""Most tasks whose variables are searched in one look; the others follow in the next looks."""
NOT_AT_ALL, HAS, PUTS, TAKES = range(4)
"""What the code of a task does with a queue, as far as the names in it tell."""
_ROOM = 50
"""Most attributes of an object that are examined."""


class ObjectIds:
    """Ids for objects of the program in the protocol, by identity. Objects are held weakly."""

    def __init__(self) -> None:
        self._next = count(1).__next__
        self._known: dict[int, tuple[weakref.ref[Any], int]] = {}  # by id(): hash() might run code of the program

    def of(self, thing: Any) -> int:
        """A stable id for an object, assigned on first sight."""
        known = self._known.get(id(thing))
        if known is not None and known[0]() is thing:
            return known[1]
        if len(self._known) >= 4 * MOST_THINGS:
            self._known = {key: entry for key, entry in self._known.items() if entry[0]() is not None}
        number = self._next()
        self._known[id(thing)] = OwnRef(thing), number
        return number


class SyncObject:
    """A queue or semaphore that was found. Held weakly."""

    __slots__ = ("code", "feeds_itself", "label", "number", "ref", "site", "use")

    def __init__(self, thing: Any, number: int, label: str) -> None:
        self.ref = OwnRef(thing)
        self.number = number
        self.label = label
        self.site = 0  # where a task is that takes from it; else that puts into it; else that has it; 0: not known
        self.code: CodeType | None = None  # of that task, while its use is not NOT_AT_ALL
        self.use = NOT_AT_ALL
        self.feeds_itself = False  # its consumers also put into it, like a crawler: it grows, and then ends


class SyncObjects:
    """All queues and semaphores that were found and still exist."""

    def __init__(self, numbers: ObjectIds, tables: Tables) -> None:
        self._numbers = numbers
        self._tables = tables
        self._things: dict[int, SyncObject] = {}  # by id
        self._modules: dict[int, list[str]] = {}  # by id of its globals, names of those that are queues or semaphores
        self._place = 0

    def clear(self) -> None:
        """Forgets all of them."""
        self._things.clear()
        self._modules.clear()

    def search(self, records: list[TaskRecord]) -> Iterator[None]:
        """Searches the variables of some tasks, of different ones each time."""
        self._place = self._place if self._place < len(records) else 0
        chosen = records[self._place : self._place + SEARCHED]
        self._place += SEARCHED
        return of_each(chosen, self._search_task)

    def _search_task(self, task: Any, _: int) -> None:
        for coro in chain(coro_of(task)):
            self._search_in(coro)

    def _search_in(self, coro: Any) -> None:
        place = reading.own_place(coro)
        if place is None or sites.plumbing[place[0].co_filename] != sites.USER:
            return
        code, line, names = place
        module, known = names.get("__name__"), self._modules.get(id(names))
        if known is None and len(self._modules) < MOST_THINGS:
            all_names = list(names.items())[: _ROOM * 20]
            known = self._modules[id(names)] = [name for name, value in all_names if _is_thing(value)]
        for name in known or ():
            value = names.get(name)
            if _is_thing(value):
                use = _use_in(code) if name in code.co_names else NOT_AT_ALL
                self._add(hold(value), f"{name} of {module}", code, line, use)
        for variable in referents(coro):
            held = in_cell(variable) if type(variable) is CellType else variable
            if _is_thing(held):
                self._add(held, f"of {code.co_qualname}()", code, line, _use_in(code))
            elif may_hold(held):
                self._search_object(held, code, line)

    def _search_object(self, owner: Any, code: CodeType, line: int) -> None:
        label = f"of {type(owner).__qualname__}"
        for held in referents(owner, _ROOM):
            if _is_thing(held):
                self._add(held, label, code, line, _use_in(code))
            elif type(held) is dict and len(held) <= _ROOM:
                for name, value in list(held.items()):
                    if _is_thing(value):
                        use = _use_in(code) if name in code.co_names else HAS
                        self._add(hold(value), f"{name} {label}" if type(name) is str else label, code, line, use)

    def meet(self, thing: Any, how: str, frames: list[Place]) -> None:
        """Adds the object that a task waits on, if it is a queue or a semaphore."""
        if id(thing) in self._things:
            return
        for code, line, _ in reversed(frames):
            if sites.plumbing[code.co_filename] == sites.USER:
                self._add(thing, f"{how} {code.co_qualname}()", code, line, _use_in(code))
                return

    def _add(self, thing: Any, label: str, code: CodeType, line: int, use: int) -> None:
        """Adds an object; where a task is that does more with it than the ones before takes their place."""
        known = self._things.get(id(thing))
        if known is None or known.ref() is not thing:
            if len(self._things) >= MOST_THINGS:
                return
            text = f"{type(thing).__qualname__} {label}"[:MOST_TEXT]
            known = self._things[id(thing)] = SyncObject(thing, self._numbers.of(thing), text)
        if use > NOT_AT_ALL:
            known.feeds_itself = known.feeds_itself or _gets_and_puts(code)
        if use > known.use or code is known.code:
            known.use, known.code, known.site = use, code, self._tables.site(code, line)

    def sizes(self) -> dict[str, Any]:
        """The queues that are not empty, the fullest first, and the semaphores."""
        queues, semaphores = [], []
        for key, thing in list(self._things.items()):
            try:
                facts = reading.read(thing.ref, _sizes_of)
            except Exception:  # a subclass of the program stores it elsewhere
                continue
            if facts is None:
                del self._things[key]
            elif len(facts) == _FACTS_OF_A_SEMAPHORE:
                semaphores.append([thing.number, thing.label, thing.site, *facts])
            elif facts[0] and not thing.feeds_itself:
                queues.append([thing.number, thing.label, thing.site, *facts])
        queues.sort(key=lambda row: -row[3])
        return {"queues": queues[:MOST_ROWS], "semaphores": semaphores[:MOST_ROWS]}


_FACTS_OF_A_SEMAPHORE = 3


def _sizes_of(found: Any) -> list[Any]:
    """Size, limit, getters and putters of a queue; value, bound and waiters of a semaphore."""
    if issubclass(type(found), asyncio.Queue):
        return [len(found._queue), max(found._maxsize, 0), len(found._getters), len(found._putters)]
    return [found._value, getattr(found, "_bound_value", None), len(found._waiters or ())]


def of_each(records: Iterable[TaskRecord], read: Callable[[Any, int], None]) -> Iterator[None]:
    """Reads each live task, with its id, in slices. A task that changes meanwhile is left out."""
    for record in records:
        if turns.due():
            yield
        try:
            reading.read(record, _read_live, read, record.id)
        except Exception:
            continue


def _read_live(task: Any, read: Callable[[Any, int], None], number: int) -> None:
    if not is_done(task):
        read(task, number)


def chain(coro: Any) -> Iterator[Any]:
    """A coroutine and those that it awaits, innermost last."""
    for _ in range(50):
        if type(coro) is not CoroutineType and type(coro) is not AsyncGeneratorType:
            return
        yield reading.hold(coro)
        coro = coro.cr_await if isinstance(coro, CoroutineType) else coro.ag_await


def _use_in(code: CodeType) -> int:
    names = set(code.co_names)
    return TAKES if names & {"get", "get_nowait"} else PUTS if names & {"put", "put_nowait"} else HAS


def _gets_and_puts(code: CodeType) -> bool:
    names = set(code.co_names)
    return bool(names & {"get", "get_nowait"} and names & {"put", "put_nowait"})


def in_cell(cell: CellType) -> Any:
    """The content of a cell; None if it is empty."""
    try:
        return hold(cell.cell_contents)
    except ValueError:  # it is empty
        return None


def _is_thing(value: Any) -> bool:
    return issubclass(type(value), (asyncio.Queue, asyncio.Semaphore))


def may_hold(value: Any) -> bool:
    """Whether the class of an object is user code, so that its attributes are worth searching."""
    kind = type(value)
    if issubclass(kind, (type, ModuleType)) or kind.__module__ == "builtins":
        return False
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and sites.plumbing[file] == sites.USER
