"""Keeps Python from warning about a fork when the only additional threads are the probe's.

Since 3.12 Python warns when a process with several threads forks (`DeprecationWarning`), and counts the probe's
threads. They hold no lock that a child needs, and a child has no probe. So during a fork a filter suppresses that
warning if all other threads are the probe's; a program with more threads is warned as usual.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..base import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class MutedWarning:
    """An entry of `warnings.filters`, whose pattern is this object."""

    __slots__ = ("_entry", "_ours")

    def __init__(self, ours: Callable[[], tuple[Iterable[int], int]]) -> None:
        """`ours()` returns the native ids of the probe's present and past threads, and how many more are starting."""
        self._ours = ours
        self._entry: tuple[Any, ...] | None = None

    def match(self, text: str) -> bool:
        """Whether this is the warning, and all additional threads are the probe's."""
        try:
            if "is multi-threaded, use of " not in text:
                return False
            ids, more = self._ours()
            others = set(process.thread_ids()).difference(ids)
            ours = len(others) <= 1 + more
            if ours:
                self.end()  # from 3.13 on the warning comes after the last fork callback
            return ours
        except Exception:
            return False

    def begin(self) -> None:
        """Inserts the filter in front, without resetting which warnings were already shown."""
        if sys.version_info >= (3, 12) and self._entry is None:
            self._entry = ("ignore", self, DeprecationWarning, None, 0)
            _filters().insert(0, self._entry)

    def end(self) -> None:
        """Removes the filter, if it is still there."""
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
