"""The objects that tasks wait for: which methods move them on, how full they are, and what refers to them.

`gc.get_referents` visits variables without side effects; no code of the program runs.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from time import monotonic
from types import CellType, FrameType, MethodType
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..hooks.reading import hold, referents
from . import subprocesses
from .queues import MOST_TEXT, chain, in_cell, may_hold

if TYPE_CHECKING:
    import weakref
    from collections.abc import Iterable, Iterator

    from .waits import Wait

ROOM = 100
"""Most attributes of an object, or items of a container, that are examined."""
_DEPTH = 3

_MOVES: dict[tuple[str, str], frozenset[str]] = {
    ("event", ""): frozenset({"set"}),
    ("condition", ""): frozenset({"notify", "notify_all"}),
    ("future", ""): frozenset({"set_result", "set_exception", "cancel"}),
    ("queue", "get"): frozenset({"put", "put_nowait"}),
    ("queue", "put"): frozenset({"get", "get_nowait"}),
    ("queue", "join"): frozenset({"task_done"}),
    ("lock", ""): frozenset({"release"}),
    ("semaphore", ""): frozenset({"release"}),
    ("subprocess", ""): frozenset({"write", "writelines", "write_eof", "send_signal", "terminate", "kill"}),
}
"""The methods that move the tasks on, by kind and operation."""


class Waiter:
    """A task that waits, and since when it has not made a step, as far as the probe knows."""

    __slots__ = ("key", "line", "look", "since", "steps")

    def __init__(self, key: int, steps: int, line: int, look: int) -> None:
        self.key = key
        self.steps = steps
        self.line = line
        self.look = look
        self.since = monotonic()


class AwaitedObject:
    """An object that tasks wait for. Held weakly."""

    __slots__ = (
        "child",
        "ended",
        "holders",
        "kind",
        "label",
        "methods",
        "moved",
        "moves",
        "number",
        "op",
        "ref",
        "searched",
        "self_feeding",
    )

    def __init__(self, ref: weakref.ref[Any], number: int, wait: Wait) -> None:
        self.ref = ref
        self.number = number
        self.kind = wait.kind
        self.moved = monotonic()
        self.set_op(str(wait.facts.get("op") or ""))
        self.methods: set[str] = set()  # those of its owner that call one of `moves`
        self.label = ""
        self.searched = 0.0  # when its holders were last searched for
        self.self_feeding = False
        self.child = subprocesses.Child() if wait.kind == "subprocess" else None
        self.holders: dict[int, list[Any]] = {}  # by task
        self.ended: list[list[Any]] = []

    def set_op(self, op: str) -> None:
        """Sets what the tasks wait to do. It changes where getters gave way to putters."""
        self.op = op
        self.moves = _MOVES.get((self.kind, op if self.kind == "queue" else ""), frozenset())


def label_of(waited: Any, coro: Any, one: AwaitedObject) -> tuple[str, bool]:
    """The class of an object, with the attribute and the class that have it; sets the `methods` of that class.

    And whether the code that waits also does the opposite, as those do that take from a pool and give back.
    """
    kind = type(waited).__qualname__
    own = False
    label = kind
    for outer in chain(coro):
        code = getattr(outer, "cr_code", None) or outer.ag_code
        if sites.plumbing[code.co_filename] != sites.USER:
            continue
        own = own or not one.moves.isdisjoint(code.co_names)
        for variable in referents(outer):
            held = in_cell(variable) if type(variable) is CellType else variable
            if not may_hold(held):
                continue
            for name, value in _attributes(held):
                if value is waited:
                    owner = type(held)
                    label = f"{kind} {name} of {owner.__qualname__}".replace("  ", " ")
                    one.methods = {
                        method
                        for method, function in list(vars(owner).items())
                        if not one.moves.isdisjoint(getattr(getattr(function, "__code__", None), "co_names", ()))
                    }
                    break
    return label[:MOST_TEXT], own


def _attributes(owner: Any) -> Iterator[tuple[str, Any]]:
    """The attributes in the dictionary of an object, read without creating the dictionary where it is inline."""
    for held in referents(owner, ROOM):
        if type(held) is dict:
            for name, value in list(islice(held.items(), ROOM)):
                if type(name) is str:
                    yield name, hold(value)
        else:
            yield "", held


def reached(start: Iterable[Any], wanted: dict[int, AwaitedObject]) -> set[int]:
    """The keys of those wanted objects that are among these objects, or in attributes and items of them."""
    found: set[int] = set()
    pending = [(held, 0) for held in start]
    left = 4 * ROOM
    while pending and left:
        left -= 1
        held, depth = pending.pop()
        key = id(held)
        if key in wanted:
            if wanted[key].ref() is held:
                found.add(key)
            continue
        kind = type(held)
        if depth >= _DEPTH or kind is FrameType:
            continue
        if kind is CellType:
            pending.append((in_cell(held), depth))
        elif kind in (list, tuple, set, dict, MethodType) or may_hold(held):
            deeper = depth if kind is dict else depth + 1
            pending += [(inner, deeper) for inner in referents(held, ROOM)]
    return found


def figures_of(thing: Any, kind: str) -> tuple[int, int, int]:
    """Size and limit of a queue, value and bound of a semaphore, unread bytes and pid of a subprocess."""
    if kind == "queue":
        return len(thing._queue), max(thing._maxsize, 0), 0
    if kind == "semaphore":
        return max(thing._value, 0), getattr(thing, "_bound_value", 0), 0
    if kind == "subprocess" and not isinstance(thing, (asyncio.StreamReader, asyncio.StreamWriter)):
        # `Process.wait` waits in its transport.
        transport = thing._transport if isinstance(thing, asyncio.subprocess.Process) else thing  # type: ignore[attr-defined]
        return subprocesses.unread(getattr(transport, "_protocol", None)), 0, transport.get_pid()
    return 0, 0, 0
