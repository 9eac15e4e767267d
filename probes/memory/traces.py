"""Groups the traces of tracemalloc: one C call copies them, holding the GIL; the rest is done in slices.

A look takes tracemalloc's own copy of its table (`_tracemalloc._get_traces`, one tuple a block): there is no
shorter way. What follows is a generator that does about half a millisecond of work between two `yield`s: it consumes
the copy from its end, so that the copy is also freed in slices, and keeps sums by traceback only. The sums of a
look are small (`Groups`), and bounded; the traces are never kept.

While tracemalloc runs, every object created here is traced, too, at many times the usual cost. So the inner loop
creates none: it hashes the traceback tuples that the copy shares, and collects size objects that exist already.
"""

from __future__ import annotations

from operator import call
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import sites

if TYPE_CHECKING:
    from collections.abc import Generator

    Steps = Generator[None, None, Any]

tracer: Any
try:
    import _tracemalloc as tracer
except ImportError:  # no CPython
    tracer = None

CHUNK = 500
"""Traces or groups between two `yield`s: about half a millisecond, one and a half with 25 frames."""

MOST_GROUPS = 50_000
"""Most tracebacks of a look that are kept one by one; the smallest ones beyond are kept as one sum."""

MOST_LINES = 200_000
"""Most lines that get a number; further ones (of code created at run time) share number 0."""

LINENO, FILENAME, TRACEBACK = "lineno", "filename", "traceback"
GROUPS = (LINENO, FILENAME, TRACEBACK)
HIDDEN = ("stdlib", "packages", "probe")

STDLIB, PACKAGES, PROBE, USER = range(4)
_own = __file__.rpartition("/memory/")[0] + "/"

Key = tuple[int, ...]
"""A traceback as numbers of lines, innermost first."""


class Lines:
    """Numbers for (file, line), and for the files."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = [("(other lines)", 0)]
        self.files: list[str] = ["(other files)"]
        self.file_of: list[int] = [0]
        self._kinds: list[int] = [USER]
        self._lines: dict[tuple[str, int], int] = {}
        self._files: dict[str, int] = {}

    def number(self, line: tuple[str, int]) -> int:
        """The number of a line."""
        number = self._lines.get(line)
        if number is None:
            if len(self.lines) >= MOST_LINES:
                return 0
            number = self._lines[line] = len(self.lines)
            self.lines.append(line)
            self.file_of.append(self._file(line[0]))
        return number

    def _file(self, file: str) -> int:
        number = self._files.get(file)
        if number is None:
            number = self._files[file] = len(self.files)
            self.files.append(file)
            self._kinds.append(kind_of(file))
        return number

    def kind(self, line: int) -> int:
        """The owner of a line: STDLIB, PACKAGES, PROBE or USER."""
        return self._kinds[self.file_of[line]]


def kind_of(file: str) -> int:
    """The owner of a file: STDLIB, PACKAGES, PROBE or USER."""
    if file.startswith(_own):
        return PROBE
    if sites.is_stdlib(file):
        return STDLIB
    return PACKAGES if sites.is_package(file) else USER


class Groups:
    """The sums of one look: size and count by traceback."""

    __slots__ = ("at", "blocks", "by_key", "other_count", "other_size", "overhead", "pause", "peak", "rss", "traced")

    def __init__(self) -> None:
        self.at = 0  # Unix microseconds
        self.by_key: dict[Key, tuple[int, int]] = {}
        self.other_size = self.other_count = 0  # sums of the tracebacks that are not kept
        self.blocks = 0
        self.pause = 0.0  # seconds for which the copy held the GIL
        self.traced = self.peak = self.overhead = 0
        self.rss: int | None = None


def copy() -> tuple[list[Any], float]:
    """A copy of tracemalloc's table, and how long copying held the GIL.

    All in one C call: another thread could run between two bytecodes, and its time would count as part of the pause.
    """
    steps: Any = (monotonic, tracer._get_traces, monotonic)
    started, traces, ended = map(call, steps)
    return traces, ended - started


def collect(groups: Groups, lines: Lines) -> Steps:
    """Fills `groups` with the sums of the traces now."""
    groups.traced, groups.peak = tracer.get_traced_memory()
    groups.overhead = tracer.get_tracemalloc_memory()
    traces, groups.pause = copy()
    groups.blocks = len(traces)
    totals: dict[Any, list[int]] = {}
    yield
    while traces:
        part: dict[Any, list[int]] = {}
        chunk = traces[-CHUNK:]
        del traces[-CHUNK:]
        for _domain, size, traceback, _depth in chunk:
            if traceback in part:
                part[traceback].append(size)
            else:
                part[traceback] = [size]
        for traceback, sizes in part.items():
            known = totals.get(traceback)
            if known is None:
                totals[traceback] = [sum(sizes), len(sizes)]
            else:
                known[0] += sum(sizes)
                known[1] += len(sizes)
        yield
    by_key = groups.by_key
    number = lines.number
    while totals:
        for _ in range(min(CHUNK // 5, len(totals))):
            traceback, (size, count) = totals.popitem()
            key = tuple(map(number, traceback))
            before = by_key.get(key)  # several tracebacks may share lines of number 0
            by_key[key] = (size, count) if before is None else (size + before[0], count + before[1])
        yield


def trim(groups: Groups) -> Steps:
    """Keeps the largest MOST_GROUPS and the sum of the others."""
    if len(groups.by_key) <= MOST_GROUPS:
        return
    histogram = [0] * 80
    sizes = iter(groups.by_key.values())
    for number, (size, _) in enumerate(sizes):
        histogram[min(size.bit_length(), 79)] += 1
        if number % CHUNK == 0:
            yield
    room, cut = MOST_GROUPS, 80
    while cut and histogram[cut - 1] <= room:
        cut -= 1
        room -= histogram[cut]
    kept: dict[Key, tuple[int, int]] = {}
    while groups.by_key:
        for _ in range(min(CHUNK, len(groups.by_key))):
            key, (size, count) = groups.by_key.popitem()
            if size.bit_length() >= cut:
                kept[key] = (size, count)
            else:
                groups.other_size += size
                groups.other_count += count
        yield
    groups.by_key = kept


class DiffOptions:
    """What a viewer wants a look to show."""

    __slots__ = ("group", "hide", "limit")

    def __init__(self, group: str, hide: frozenset[int], limit: int) -> None:
        self.group = group
        self.hide = hide
        self.limit = limit


class Diff:
    """A look compared with another, as in `tracemalloc.StatisticDiff`: [size, size_diff, count, count_diff] each."""

    __slots__ = ("groups", "hidden", "others", "rows", "total")

    def __init__(self) -> None:
        self.rows: list[tuple[Key, list[int]]] = []  # largest absolute size_diff first
        self.groups = 0  # number of groups before the limit was applied
        self.total = [0, 0, 0, 0]  # sums of all groups that are not hidden
        self.hidden = [0, 0, 0, 0]
        self.others = [0, 0, 0, 0]  # sums of the groups that the older look did not keep one by one


def compare(diff: Diff, now: Groups, before: Groups | None, options: DiffOptions, lines: Lines) -> Steps:
    """Fills `diff` with the changes between two looks; with `before` None with all groups, without differences."""
    sums: dict[Key, list[int]] = {}
    old = before.by_key if before is not None else {}
    partial = before is not None and bool(before.other_count)
    if before is not None and partial:
        _add(diff.others, 0, 0, before.other_size, before.other_count)
    for number, (key, (size, count)) in enumerate(now.by_key.items()):
        old_size, old_count = old.get(key, (0, 0) if before is not None else (size, count))
        if partial and key not in old:
            _add(diff.others, size, count, 0, 0)
        else:
            _add(_sum_of(diff, sums, key, options, lines), size, count, old_size, old_count)
        if number % CHUNK == CHUNK - 1:
            yield
    for number, (key, (size, count)) in enumerate(old.items()):
        if key not in now.by_key:
            _add(_sum_of(diff, sums, key, options, lines), 0, 0, size, count)
        if number % CHUNK == CHUNK - 1:
            yield
    diff.groups = len(sums)
    best: list[tuple[tuple[int, ...], Key, list[int]]] = []
    for number, (key, figures) in enumerate(sums.items()):
        size, size_diff, count, count_diff = figures
        best.append(((abs(size_diff), size, abs(count_diff), count), key, figures))
        for at, figure in enumerate(figures):
            diff.total[at] += figure
        if len(best) > options.limit + 2 * CHUNK:
            best.sort(reverse=True)
            del best[options.limit :]
        if number % CHUNK == CHUNK - 1:
            yield
    best.sort(reverse=True)
    diff.rows = [(key, figures) for _, key, figures in best[: options.limit]]


def _sum_of(diff: Diff, sums: dict[Key, list[int]], key: Key, options: DiffOptions, lines: Lines) -> list[int]:
    """The group of a traceback: its innermost line of user code, if there is one."""
    line = next((line for line in key if lines.kind(line) == USER), key[0] if key else 0)
    if lines.kind(line) in options.hide:
        return diff.hidden
    if options.group == LINENO:
        key = (line,)
    elif options.group == FILENAME:
        key = (lines.file_of[line],)
    figures = sums.get(key)
    if figures is None:
        figures = sums[key] = [0, 0, 0, 0]
    return figures


def _add(figures: list[int], size: int, count: int, old_size: int, old_count: int) -> None:
    figures[0] += size
    figures[1] += size - old_size
    figures[2] += count
    figures[3] += count - old_count
