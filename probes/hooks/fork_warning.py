"""A fork of a program that has no thread but ours beside its first is not warned about: without us it would not be.

Since 3.12 Python warns when a process with several threads forks (`DeprecationWarning`), and counts ours. No thread of
ours holds a lock that a child needs, and a child has no probe. So while a fork goes on a filter answers for that
warning alone, if all other threads are ours; with a thread of its own the program is warned as ever.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..base import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Hush:
    """An entry of `warnings.filters`, whose pattern is this object."""

    __slots__ = ("_entry", "_ours")

    def __init__(self, ours: Callable[[], tuple[Iterable[int], int]]) -> None:
        """`ours()`: the kernel's ids of threads that are, or were, the probe's, and how many more there are."""
        self._ours = ours
        self._entry: tuple[Any, ...] | None = None

    def match(self, text: str) -> bool:
        """Whether this is the warning, and the only threads are ours."""
        try:
            if "is multi-threaded, use of " not in text:
                return False
            ids, more = self._ours()
            others = set(process.thread_ids()).difference(ids)
            ours = len(others) <= 1 + more
            if ours:
                self.end()  # this was it; from 3.13 on it comes after all that is told of a fork
            return ours
        except Exception:
            return False

    def begin(self) -> None:
        """Puts the filter first; what was warned about already stays so."""
        if sys.version_info >= (3, 12) and self._entry is None:
            self._entry = ("ignore", self, DeprecationWarning, None, 0)
            _filters().insert(0, self._entry)

    def end(self) -> None:
        """Takes it out, if it is still there."""
        entry, self._entry = self._entry, None
        filters = _filters()
        for index, found in enumerate(filters):
            if found is entry and entry is not None:
                del filters[index]
                return


def _filters() -> list[Any]:
    import warnings

    found: list[Any] = warnings.filters  # type: ignore[assignment]
    return found
