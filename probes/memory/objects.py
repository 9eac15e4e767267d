"""Live objects by type, without keeping one alive and without ending one.

`gc.get_objects()` returns references. If other threads run meanwhile, one of them may become the last reference, and
dropping it runs a `__del__` of the program in the probe's thread. So the references exist for the length of one C call
only, in which no other thread can run: the chain of iterators below makes the list, takes the type of each entry and
lets the list go. It holds the GIL for about 20 to 30 ms per 1,000,000 objects (docs/memory.md). What remains is a list
of types: a class is part of a reference cycle, so this is never its last reference. The list is counted in slices.

Objects that the collector does not track (numbers, strings, bytes) are not counted; tracemalloc sees those.
"""

from __future__ import annotations

import gc
from collections import _count_elements  # type: ignore[attr-defined]
from functools import partial
from itertools import chain
from operator import call
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

CHUNK = 2000
MOST_TYPES = 20_000

_OWN = __package__.rpartition(".")[0] + "."
"""Prefix of the modules of the probe, whose types are not shown."""

_module = type.__dict__["__module__"].__get__  # not cls.__module__: a metaclass might run code for that
_qualname = type.__dict__["__qualname__"].__get__


class Counts:
    """The number of objects of each type at one moment."""

    __slots__ = ("at", "by_name", "objects", "pause")

    def __init__(self) -> None:
        self.at = 0
        self.by_name: dict[str, int] = {}
        self.objects = 0
        self.pause = 0.0


def types_of_all() -> tuple[list[type], float]:
    """The type of every object that the collector tracks, and how long the call held the GIL."""
    objects: Any = chain.from_iterable(map(gc.get_objects, (None,)))  # made when `list` first asks for it
    steps: Any = (monotonic, partial(list, map(type, objects)), monotonic)
    started, types, ended = map(call, steps)
    return types, ended - started


def count(counts: Counts) -> Generator[None, None, None]:
    """Fills `counts` with the objects that exist now."""
    types, counts.pause = types_of_all()
    counts.objects = len(types)
    numbers: dict[int, int] = {}
    known: dict[int, type] = {}
    yield
    while types:
        chunk = types[-CHUNK:]
        del types[-CHUNK:]
        _count_elements(numbers, map(id, chunk))
        known.update(zip(map(id, chunk), chunk, strict=True))
        yield
    by_name = counts.by_name
    for done, (number, cls) in enumerate(known.items()):
        name = name_of(cls)
        if name.startswith(_OWN):
            counts.objects -= numbers[number]
        elif name in by_name or len(by_name) < MOST_TYPES:
            by_name[name] = by_name.get(name, 0) + numbers[number]
        else:
            by_name["(others)"] = by_name.get("(others)", 0) + numbers[number]
        if done % 500 == 499:
            yield


def name_of(cls: type) -> str:
    """The module and name of a class, without running code of its metaclass."""
    try:
        module, name = _module(cls), _qualname(cls)
    except Exception:
        return "?"
    if module in ("builtins", "__main__") or not isinstance(module, str):
        return str(name)[:200]
    return f"{module}.{name}"[:300]


class Difference:
    """Counts compared with an earlier look, largest absolute difference first."""

    __slots__ = ("rows", "types")

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, int]] = []  # name, count, count_diff
        self.types = 0


def compare(found: Difference, now: Counts, before: Counts | None, limit: int) -> Generator[None, None, None]:
    """Fills `found` with the changes; with `before` None there are no differences, and the largest count comes
    first."""
    old = now.by_name if before is None else before.by_name
    names = [*now.by_name, *(name for name in old if name not in now.by_name)]
    found.types = len(now.by_name)
    best: list[tuple[int, int, str]] = []
    for done, name in enumerate(names):
        number = now.by_name.get(name, 0)
        best.append((number - old.get(name, 0), number, name))
        if len(best) > limit + 1000:
            _cut(best, limit)
        if done % 500 == 499:
            yield
    _cut(best, limit)
    found.rows = [(name, number, difference) for difference, number, name in best]


def _cut(best: list[tuple[int, int, str]], limit: int) -> None:
    best.sort(key=lambda row: (-abs(row[0]), -row[1], row[2]))
    del best[limit:]
