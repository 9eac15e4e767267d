"""How long a callback waited for the GIL, which thread held it, and at which line.

A thread that waits for the GIL sleeps in the kernel, as one in a blocking call does. Three things tell them apart:

* what the thread sleeps in (`/proc/self/task/TID/syscall`): the GIL is a condition variable in the static data of the
  interpreter; locks of the program are elsewhere, and other blocking calls are not futexes;
* where the time of the callback went: neither CPU time nor waiting for a processor (see `starved`);
* that other Python threads used the CPU meanwhile. They held it, each as long as it ran;
* how often the thread woke up: one that waits for the GIL does so at each switch interval (5 ms), to ask for it again.

Only the watchdog can look, and it needs the GIL itself. When it got no turn until the callback had ended, the last
three must do: so many wake-ups at that interval are so much waiting for the GIL. What is not clear is not counted,
and nothing where the kernel does not tell, or without a GIL.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from math import inf
from time import clock_gettime, monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base import sites
from ..hooks import reading
from ..hooks.backend import FREE_THREADED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType

    from ..base.sites import Tables
    from ..hooks.records import LoopRecord
    from .cpu_wait import Spent

    Stack = tuple[tuple["CodeType", int], ...]

LEAST = 0.005
"""Seconds asleep between two looks from which on the cause is looked for."""
SHARE = 0.2
"""Of that time others must have used the CPU, where the thread is seen to wait for the GIL; on a crowded machine the
one that has the GIL waits for a processor, too."""
SHARE_UNSEEN = 0.3
SHARE_WAKING = 0.05
"""The same where the thread woke up at the switch interval, as no other wait does."""
MOST_THREADS = 200
MOST_MOMENTS = 8
_LOOK_UP_EVERY = 1.0
"""Seconds between two looks for threads that have begun or ended."""

GIL, RUNNING, BLOCKED, UNKNOWN = "gil", "running", "blocked", "unknown"

_FUTEX = (
    {"x86_64": b"202", "aarch64": b"98", "riscv64": b"98"}.get(os.uname().machine) if hasattr(os, "uname") else None
)


class Moment(NamedTuple):
    """CPU time and stacks of the program's threads at one moment."""

    at: float
    ran: dict[int, float]  # CPU seconds by thread identity
    stacks: dict[int, list[tuple[CodeType, int]]] | None  # of those that have run, innermost first; None: not read


class Holder:
    """A line at which other threads held the GIL."""

    __slots__ = ("names", "seconds", "stack", "threads")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.seconds = 0.0
        self.threads: dict[int, float] = {}  # seconds by identity
        self.names: dict[int, str] = {}  # of those; a thread may end before anybody asks


class Wait:
    """The GIL waits of one callback."""

    __slots__ = ("asleep", "at", "holders", "ran", "seconds", "started", "state", "turns")

    def __init__(self, started: float, before: Moment) -> None:
        """`before`: the newest moment that is known, from before the callback."""
        self.started = started
        self.at, self.ran = before.at, before.ran  # when a wait was booked last, and what the threads had run by then
        self.asleep = 0.0  # seconds the callback had slept at the last look
        self.turns = 0  # how often it had been given a CPU by then
        self.state = UNKNOWN  # of its thread at the last look
        self.seconds = 0.0
        self.holders: dict[tuple[int, int], Holder] = {}


class Waited(NamedTuple):
    """A wait for the GIL as it is known at one moment: the watchdog goes on booking, this does not change."""

    seconds: float
    threads: int  # how many others held it
    stack: Stack  # at the line at which it was held longest; empty: not seen
    longest: str  # name of the thread that held it longest at that line


class Gil:
    """Measures the GIL waits of callbacks. Used by the watchdog, and when a slow callback ends."""

    def __init__(self, stack_of: Callable[[list[tuple[CodeType, int]], int], Stack]) -> None:
        self.own: set[int] = set()  # identities of the probe's threads
        self._stack_of = stack_of
        self._clocks: dict[int, int] = {}  # CPU clocks by thread identity
        self._known = 0.0  # when the clocks were last looked up
        self._moments = deque([Moment(0.0, {}, None)], maxlen=MOST_MOMENTS)
        self._waits: dict[int, Wait] = {}  # by id of the loop
        self._range: tuple[int, int] | None = None
        self._off = FREE_THREADED or _FUTEX is None

    def see(self, stacks: bool) -> Moment | None:
        """The present moment, read without giving up the GIL; on request with the stacks of threads that have run."""
        if self._off:
            return None
        at = monotonic()
        if not stacks and at - self._known < _LOOK_UP_EVERY:
            return Moment(at, self._ran(), None)
        self._known = at
        idents = reading.threads()[:MOST_THREADS]
        self._clocks = {ident: clock for ident in idents if (clock := clock_of(ident)) is not None}
        ran, before = self._ran(), self._moments[0].ran
        if not stacks:
            return Moment(at, ran, None)
        running = {ident for ident, seconds in ran.items() if seconds > before.get(ident, 0.0)} - self.own
        return Moment(at, ran, reading.thread_stacks(running))

    def sample(
        self, moment: Moment | None, running: Iterable[tuple[LoopRecord, float, Spent, str]], *, late: bool
    ) -> None:
        """Books what callbacks that go on have waited since the last look: (loop, start, its time, what it does).

        `late`: the watchdog got no turn for long, so perhaps it waited for the GIL as well.
        """
        if moment is None:
            return
        waits: dict[int, Wait] = {}
        for record, started, spent, state in running:
            wait = self._waits.get(record.id)
            if wait is None or wait.started != started:
                wait = Wait(started, self._moment_before(started))
            asleep = spent.asleep - wait.asleep
            if asleep >= LEAST and BLOCKED not in (wait.state, state):
                # If it is not seen to wait, it was its turn before this look was over.
                share = SHARE if state == GIL else SHARE_UNSEEN if late else None
                self._book_by_turns(wait, record, moment, spent, share)
            wait.seconds = min(wait.seconds, max(spent.asleep, 0.0))
            wait.asleep, wait.turns, wait.state = spent.asleep, spent.turns, state
            waits[record.id] = wait
        self._waits = waits
        self._moments.append(moment._replace(stacks=None))

    def over(
        self, record: LoopRecord, started: float, spent: Spent, moment: Moment | None, *, late: bool
    ) -> Waited | None:
        """The wait of a callback that has just ended. `late`: the watchdog got no turn for long."""
        wait = self._waits.get(record.id)
        if wait is None or wait.started != started:
            wait = Wait(started, self._moment_before(started))
        asleep = spent.asleep - wait.asleep
        if moment is not None and asleep >= LEAST and wait.state != BLOCKED:
            self._book_by_turns(wait, record, moment, spent, SHARE_UNSEEN if late else None)
        return _known(wait, max(spent.asleep, 0.0))

    def so_far(self, record: LoopRecord, started: float) -> Waited | None:
        """The wait so far of a running callback."""
        wait = self._waits.get(record.id)
        return _known(wait) if wait is not None and wait.started == started else None

    def rest(self) -> None:
        """Drops the clocks of threads that may have ended meanwhile: all loops rest, and nobody watches."""
        if self._clocks and monotonic() - self._known >= _LOOK_UP_EVERY:
            self._clocks = {}

    def forget(self) -> None:
        """Drops all waits and clocks: the next ones begin anew."""
        self._waits = {}
        self._clocks = {}
        self._known = 0.0
        self._moments = deque([Moment(0.0, {}, None)], maxlen=MOST_MOMENTS)

    def _book_by_turns(self, wait: Wait, record: LoopRecord, moment: Moment, spent: Spent, share: float | None) -> None:
        """Book a wait by how often the thread woke up; else all of it, if others had that share of it."""
        asleep, turns = spent.asleep - wait.asleep, spent.turns - wait.turns
        interval = sys.getswitchinterval()
        if turns >= 2 and asleep >= 0.5 * interval * turns:
            waking = asleep if asleep <= 1.5 * interval * turns else interval * turns
            self._book(wait, record, moment, waking, SHARE_WAKING)
        elif turns >= 2 or share is not None:  # woken up more often: by many calls that give the GIL away
            self._book(wait, record, moment, asleep, SHARE_UNSEEN if share is None else share)

    def _moment_before(self, started: float) -> Moment:
        """The newest moment that is known from before a callback."""
        return next((moment for moment in reversed(self._moments) if moment.at <= started), self._moments[0])

    def _book(self, wait: Wait, record: LoopRecord, moment: Moment, asleep: float, share: float) -> None:
        # Not the figures of `moment`: the GIL may have been lost since. What others ran counts since the last booking.
        now, ran_now = monotonic(), self._ran()
        elapsed = now - wait.at
        since = now - max(wait.at, wait.started)
        if not wait.ran or elapsed <= 0.0:
            return
        ran = {
            ident: min(seconds - wait.ran.get(ident, 0.0), elapsed) * min(since / elapsed, 1.0)
            for ident, seconds in ran_now.items()
            if ident != record.thread and ident not in self.own
        }
        total = sum(seconds for seconds in ran.values() if seconds > 0.0)
        if total < share * asleep:
            return
        wait.seconds += asleep
        wait.at, wait.ran = now, ran_now
        for ident, seconds in ran.items():
            lines = (moment.stacks or {}).get(ident)
            if seconds < 0.05 * total or lines is None:
                continue
            stack = self._stack_of(lines, 0)
            if not stack:
                continue
            code, line = stack[sites.blamed(list(stack))]
            holder = wait.holders.get((id(code), line))
            if holder is None:
                holder = wait.holders[id(code), line] = Holder(stack)
            if not holder.names.get(ident):
                holder.names[ident] = _name(ident)
            part = asleep * seconds / total
            holder.seconds += part
            holder.threads[ident] = holder.threads.get(ident, 0.0) + part

    def _ran(self) -> dict[int, float]:
        ran: dict[int, float] = {}
        for ident, clock in list(self._clocks.items()):
            try:
                ran[ident] = clock_gettime(clock)
            except OSError:  # it has ended
                continue
        return ran

    def doing(self, record: LoopRecord, moment: Moment | None) -> str:
        """The state of a loop's thread; a change while this call gave up the GIL does not count."""
        if moment is None:
            return UNKNOWN
        state, before = self.asleep_in(record.thread_native), moment.ran.get(record.thread)
        if state == BLOCKED and before is not None:
            try:
                return RUNNING if clock_gettime(self._clocks[record.thread]) > before else BLOCKED
            except (KeyError, OSError):
                return UNKNOWN
        return state

    def asleep_in(self, native: int) -> str:
        """What a thread does, by what it sleeps in."""
        try:
            file = os.open(f"/proc/self/task/{native}/syscall", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return UNKNOWN
        try:
            words = os.read(file, 200).split()
        except OSError:
            return UNKNOWN
        finally:
            os.close(file)
        if not words or words[0] in (b"running", b"-1"):
            return RUNNING
        if words[0] != _FUTEX:
            return BLOCKED
        if self._range is None:
            self._range = static_data()
        return GIL if self._range[0] <= int(words[1], 16) < self._range[1] else BLOCKED


def _known(wait: Wait, most: float = inf) -> Waited | None:
    """A wait as it is now, of at most so many seconds; None if there was none."""
    seconds = min(wait.seconds, most)
    if not seconds:
        return None
    holders = list(wait.holders.values())  # list() and dict() of them: not interrupted by the thread that books
    longest = max(holders, key=lambda holder: holder.seconds, default=None)
    if longest is None:
        return Waited(seconds, 0, (), "")
    at_line = dict(longest.threads)
    threads = {ident for holder in holders for ident in list(holder.threads)}
    name = longest.names.get(max(at_line, key=at_line.__getitem__, default=0), "")
    return Waited(seconds, len(threads), longest.stack, name)


def facts(waited: Waited | None, tables: Tables) -> dict[str, Any]:
    """A wait in the protocol's format; empty if there was none."""
    if waited is None:
        return {}
    found: dict[str, Any] = {"gil": round(waited.seconds * 1e6), "held_by": None}
    if waited.stack:
        found["held_by"] = {
            "thread": waited.longest,
            "threads": waited.threads,
            "stack": [tables.site(code, line) for code, line in waited.stack],
            "blame": sites.blamed(list(waited.stack)),
        }
    return found


def _name(ident: int) -> str:
    threading = sys.modules.get("threading")
    known = getattr(threading, "_active", {}).get(ident)
    return str(getattr(known, "_name", ""))[:100]


def clock_of(ident: int) -> int | None:
    """The CPU clock of a thread that has a Python frame. Crashes for a thread that has ended."""
    from time import pthread_getcpuclockid  # not on every platform

    try:
        return pthread_getcpuclockid(ident)
    except OSError:
        return None


def static_data() -> tuple[int, int]:
    """Begin and end of the static data of the interpreter, in which the GIL is; (0, 0) if it is not found."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip("\n").split(maxsplit=5) for line in file]
    except OSError:
        return 0, 0
    mappings = []
    for words in lines:
        if words[1].startswith("rw"):
            first, last = (int(number, 16) for number in words[0].split("-"))
            mappings.append((first, last, words[5] if len(words) > 5 else ""))
    static = id(int)  # a static type
    file_name = next((name for first, last, name in mappings if first <= static < last), "")
    begin = end = 0
    for first, last, name in mappings:
        if name and name == file_name:
            begin, end = begin or first, last
        elif begin and first == end and not name:
            end = last  # the zero-initialized part
    return begin, end
