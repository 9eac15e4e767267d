"""Names what a thread in C (hooks/native/flame.c) samples of the loops' threads without the GIL.

A sampler that needs the GIL sees a program only where it releases it: planted shares of 50/30/20 % in steps of 0.2 to
0.5 ms came out as up to 33/33/33 of 18 samples in 6 s. This one was within 3 points at 1000 Hz (docs/flame.md).
"""

from __future__ import annotations

import struct
import sys
from asyncio import base_events, runners
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..hooks import accounting, backend, install
from ..sampling.c_sampler import SamplerThread
from .jobs import EXECUTORS, NOBODY, Jobs
from .line_table import line_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..base.sites import Tables
    from ..hooks.records import TaskRecord
    from .askers import Askers

LEAST_HZ, MOST_HZ = 10, 1000
MOST_CODES = 20_000
"""Limit of code objects with remembered names; beyond it all are dropped and read again."""
MOST_STACKS = 5000
_TO_THE_ROOT, _OTHER_STACK, _JOB, _PART = 2, 4, 5, 6
_ENCODINGS = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}
LEFT_OUT = "(deeper than is read)"
NOT_READ = "(not read)"
OTHER_STACK = "(greenlet)"

Key = tuple[int, int, int, int, tuple[int, ...]]
"""Id of the task (0: a callback, or unknown), group and label (strings), creation site, and the sites of the stack,
outermost first."""


class Drained:
    """The result of one look: microseconds and samples by key, and microseconds in which the loops were idle."""

    __slots__ = ("idle", "jobs", "looks", "lost", "rows")

    def __init__(self) -> None:
        self.rows: dict[Key, list[int]] = {}
        self.jobs: dict[Key, list[int]] = {}
        self.idle = self.looks = self.lost = 0


class OnLoop:
    """One sampling thread, while a viewer wants samples."""

    def __init__(self, tables: Tables, askers: Askers) -> None:
        self._tables = tables
        self._askers = askers
        self.jobs = Jobs(askers.of)
        self._sampler: Any = None
        self._codes: dict[int, tuple[int, str, str, bytes]] = {}
        self._stacks: dict[tuple[bytes, int, int], tuple[str, tuple[int, ...]]] = {}
        self._lines: dict[int, int] = {}
        self.hz = 0
        self._with_jobs = False
        self._workers: list[int] = []
        self.cpu = self._cpu_seen = 0.0  # CPU seconds of all its threads so far, and of the current one
        self.why_not = ""
        self.thread = SamplerThread()

    def sample(self, hz: int, start_thread: Callable[..., Any], *, jobs: bool = False) -> None:
        """Sets the samples per second; 0 stops. `why_not` gives the reason if that is impossible."""
        self._with_jobs = jobs
        if hz == self.hz and (self._sampler is not None or not hz):
            return
        if self._sampler is not None and not hz:
            self._sampler.stop()
            self._sampler = None
            self._forget()
        self.hz = hz
        if not hz or self._sampler is not None:
            return
        try:
            self._sampler = sampler = _make()
            self._cpu_seen = 0.0
            self.why_not = ""
        except Exception as error:
            self.why_not = str(error) or type(error).__name__
            self.hz = 0
            return
        self._forget()
        try:
            self.thread.start(sampler, start_thread)
        except BaseException as error:
            self._sampler, self.hz, self.why_not = None, 0, f"no thread can be started: {error}"

    def look(self, ended: Iterable[TaskRecord] = ()) -> Drained | None:
        """Returns the samples since the last look. `ended`: tasks that have ended since then."""
        sampler = self._sampler
        if sampler is None:
            return None
        if self._with_jobs:
            self.jobs.look(self._workers)
        samples, codes, looks, lost, torn, cpu = sampler.drain()
        running = [record for _, record in install.running() if record.thread]
        self._workers = self.jobs.threads() if self._with_jobs else []
        sampler.follow(
            [(record, record.id, record.thread, record.clocked and record.unseen is None) for record in running],
            self._workers,
            self.jobs.codes() if self._workers else [],
            "greenlet" in sys.modules,
            1 / self.hz,
        )
        self.cpu += max(cpu * 1e-9 - self._cpu_seen, 0.0)
        self._cpu_seen = cpu * 1e-9
        for number, (line, file, name, table) in codes.items():
            self._codes[number] = (line, _text(*file), _text(*name), table[0])
        depths = {record.id: record.depth for record in running}
        self._askers.ended(ended)
        found = Drained()
        found.looks, found.lost = looks, lost + torn
        for whose, runs, task, how, nanoseconds, frames, group, made in samples:
            outermost, stack = self._named(frames, how, depths.get(whose, 0)) if how else ("", ())
            if how == _JOB:
                function = self._function_of(frames)
                if function is not None:
                    asker = self.jobs.asker(whose, made, function)
                    _add(found.jobs, (*asker, stack), nanoseconds)
            elif not stack and not runs:
                found.idle += nanoseconds // 1000
            else:
                asker = self._askers.sampled(task, group, outermost, self._site_of(made)) if task else NOBODY
                _add(found.rows, (*asker, stack), nanoseconds)
        if len(self._codes) > MOST_CODES:
            hz, self.hz = self.hz, 0
            sampler.stop()
            self._sampler = None
            self._restart = hz
        return found

    _restart = 0

    def restart_if_full(self, start_thread: Callable[..., Any]) -> None:
        """Starts over after too many code objects."""
        if self._restart:
            hz, self._restart = self._restart, 0
            self.sample(hz, start_thread)

    @property
    def follows_jobs(self) -> bool:
        """Whether threads of executors are running."""
        return bool(self._workers)

    def forked(self) -> None:
        """Forgets the thread in a child after a fork."""
        self._sampler, self.hz = None, 0

    def _forget(self) -> None:
        self._codes.clear()
        self._stacks.clear()
        self._lines.clear()
        self.jobs.clear()
        self._workers = []

    def _function_of(self, frames: bytes) -> tuple[str, str] | None:
        """File and name of a job's function; None if the executor itself is running."""
        for word in reversed(struct.unpack(f"={len(frames) // 8}Q", frames)):
            code = self._codes.get(word >> 32)
            if code is not None and EXECUTORS not in code[1]:
                return code[1], code[2]
            if code is not None and code[2].startswith("Future."):  # it has ended
                return None
        return None

    def _site_of(self, made: int) -> int:
        """The creation site from a word of the sampler; 0 if unknown."""
        code = self._codes.get(made >> 32)
        return 0 if code is None else self._tables._site(code[1], self._line(made), code[2])

    def _named(self, frames: bytes, how: int, depth: int) -> tuple[str, tuple[int, ...]]:
        """The name of the program's outermost function, and the stack."""
        key = frames, how, depth
        found = self._stacks.get(key)
        if found is None:
            if len(self._stacks) >= MOST_STACKS:
                self._stacks.clear()
            found = self._stacks[key] = self._name(frames, how, depth)
        return found

    def _name(self, frames: bytes, how: int, depth: int) -> tuple[str, tuple[int, ...]]:
        words = struct.unpack(f"={len(frames) // 8}Q", frames)
        if how == _TO_THE_ROOT:
            words = words[: max(len(words) - depth, 0)]
        stack: list[int] = []
        outermost = ""
        for word in words:
            if not word:
                outermost = ""
                stack.append(self._tables._site("", 0, NOT_READ if how == _PART else LEFT_OUT))
                continue
            code = self._codes.get(word >> 32)
            if code is None:
                continue
            _, file, name, _ = code
            if sites.plumbing[file] == sites.BOUNDARY and name.rpartition(".")[2] in ("run", "_run"):
                break
            if file.startswith((sites._own, "<looptop>")) or file in ("<shim>", "<interpreter trampoline>"):
                continue
            if how == _JOB and EXECUTORS in file:
                continue
            outermost = name
            stack.append(self._tables._site(file, self._line(word), name))
        if len(stack) == 1 and self._is_select(words):
            return "", ()
        if how == _OTHER_STACK:
            stack.append(self._tables._site("", 0, OTHER_STACK))
        stack.reverse()
        return outermost, tuple(stack)

    def _is_select(self, words: tuple[int, ...]) -> bool:
        """Whether a loop that no hook follows was found between two callbacks."""
        code = self._codes.get(words[0] >> 32)
        return code is not None and code[2].rpartition(".")[2] == "select" and sites.is_stdlib(code[1])

    def _line(self, word: int) -> int:
        line = self._lines.get(word)
        if line is None:
            if len(self._lines) >= sites.MOST:
                self._lines.clear()
            first, _, _, table = self._codes[word >> 32]
            line = self._lines[word] = line_at(table, first, (word & 0xFFFFFFFF) // 2)
        return line


def _add(rows: dict[Key, list[int]], key: Key, nanoseconds: int) -> None:
    row = rows.get(key)
    if row is None:
        rows[key] = [nanoseconds // 1000, 1]
    else:
        row[0] += nanoseconds // 1000
        row[1] += 1


def _text(raw: bytes, width: int) -> str:
    return raw.decode(_ENCODINGS.get(width, "latin-1"), "replace")


def _make() -> Any:
    """Creates a sampler in C for this interpreter. Raises an error with the reason if that is impossible."""
    if backend.native is None:
        raise NotImplementedError(f"samples need the hooks in C, which are not used here ({backend.why_pure})")
    if not hasattr(backend.native, "Sampler"):
        raise NotImplementedError("samples are taken on Linux only")
    codes = (sites.of, sites.stack_of, sites.Tables.site, sites.Tables.site_at, sites._Files.__missing__)
    stops = [sites.LOOP, runners.Runner.run.__code__]
    stops += [getattr(base_events.BaseEventLoop, name).__code__ for name in ("run_forever", "run_until_complete")]
    task, _ = accounting.make_first_step_callback()
    coro = _never_started()
    try:
        return _learn(coro, tuple(function.__code__ for function in codes), tuple(stops), _is_filtered(), task)
    finally:
        coro.close()


def _learn(coro: Any, codes: tuple[Any, ...], stops: tuple[Any, ...], filtered: bool, task: Any) -> Any:
    """The first variable of the frame that calls the sampler must be the coroutine: it shows where variables are."""
    return backend.native.Sampler(backend.shared, codes, stops, filtered, task, coro)


async def _never_started() -> None:
    """Its coroutine shows where one has its frame."""


def _is_filtered() -> bool:
    """Whether a seccomp filter is on, which may kill the program for a call that it does not list."""
    try:
        with open("/proc/self/status", "rb") as file:
            return b"\nSeccomp:\t0" not in file.read()
    except OSError:
        return True
