"""The event loops of the program: which there are, where they run, how late and how busy they are."""

from __future__ import annotations

import asyncio
import sys
import weakref
from _thread import get_ident, get_native_id
from asyncio import base_events, events, runners
from itertools import count
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import process, protocol
from ..base.task_facts import error_of, is_cancelled, is_done
from ..base.turns import turns
from . import install, reading
from .reading import hold
from .records import LoopRecord
from .registry import Hook, Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from .records import TaskRecord

    Loop = asyncio.AbstractEventLoop


_ASYNCIOS = base_events.BaseEventLoop.run_forever.__code__.co_filename
"""Code that announces the stop of each loop it starts: asyncio's `run_forever`. Others may not."""


class Loops:
    """All loops that have run since the probe came, and the hooks that find them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: weakref.WeakKeyDictionary[Loop, LoopRecord] = weakref.WeakKeyDictionary()
        self._next_id = count(1).__next__
        self._hooked: list[type] = []
        self._watching = False
        self._stand_in = LoopRecord(self, 0, "", True)  # type: ignore[arg-type]
        self.on_unhandled: Callable[[dict[str, Any]], None] = lambda _context: None

    def install(self) -> None:
        """Hooks `create_task` of every present and future loop class, and finds the loops that already run."""
        install.state.on_loop = self.known
        add = self._registry.add
        add(Hook("loop start", events, "_set_running_loop", self._hook_running))
        if hasattr(asyncio, "_set_running_loop"):
            # uvloop imports the function from the package, not from the module.
            add(Hook("loop start", asyncio, "_set_running_loop", self._hook_running))
        add(Hook("new loop classes", events.AbstractEventLoop, "__init_subclass__", self._hook_subclass))
        if install.NATIVE:
            add(install.NewTasks())
        self._hook_class(base_events.BaseEventLoop)
        for cls in _foreign_classes():
            self._hook_class(cls)
        for loop, thread in running_loops():
            self._started(
                loop, thread, getattr(type(loop), "run_forever", None) is base_events.BaseEventLoop.run_forever
            )
            for ref in reading.strangers(loop):
                reading.read(ref, _adopt, loop)

    def _hook_class(self, cls: type) -> None:
        if any(base in self._hooked for base in cls.__mro__):
            return  # it inherits the hooks, or calls them through super()
        self._hooked.append(cls)
        native = cls is base_events.BaseEventLoop
        add = self._registry.add
        add(Hook("create_task", cls, "create_task", lambda original: install.hook_create_task(original, native)))
        add(Hook("exception handler", cls, "call_exception_handler", self._hook_handler))
        if self._watching:
            self._hook_steps(cls)

    def _hook_steps(self, cls: type) -> None:
        add = self._registry.add
        if cls is not base_events.BaseEventLoop:
            add(Hook("call_soon", cls, "call_soon", install.hook_foreign_call_soon))
        elif set(events.Handle.__slots__) == install.HANDLE_SLOTS:
            add(Hook("call_soon", cls, "call_soon", install.hook_call_soon))
        else:
            self._registry.fail("call_soon", TypeError("asyncio's Handle has changed; scheduled times are not known"))

    def watch(self) -> None:
        """Puts the step hooks in."""
        self._watching = True
        # Handle._run as well if only foreign loops run: their timed steps pass through it.
        self._registry.add(Hook("run", events.Handle, "_run", install.hook_run))
        for cls in self._hooked:
            self._hook_steps(cls)
        for _, record in self._pairs():
            record.schedules = "call_soon" not in self._registry.failed

    def unwatch(self) -> None:
        """Takes the step hooks out."""
        self._watching = False
        self._registry.remove("call_soon")
        self._registry.remove("run")

    def known(self, loop: Loop) -> LoopRecord:
        """The record of a loop; a new one for a loop that is seen for the first time. Never raises: steps call it.

        The program may set `Handle._loop` to anything: an object that is not a loop, or whose hash fails, gets a record
        that no viewer sees.
        """
        if not issubclass(type(loop), events.AbstractEventLoop):
            return self._stand_in
        try:
            record = self._known.get(loop)
        except Exception:
            return self._stand_in
        try:
            if record is None:
                record = self._known[loop] = self._new(loop)
            if events._get_running_loop() is loop:
                # Its start was not seen, since uvloop was imported before the probe was installed.
                self._started(loop, (get_ident(), get_native_id(), 0), False)
        except Exception as error:
            self._registry.fail("loop start", error)
            return self._stand_in
        return record

    def _new(self, loop: Loop) -> LoopRecord:
        record = LoopRecord(loop, self._next_id(), kind_of(loop), isinstance(loop, base_events.BaseEventLoop))
        record.schedules = "call_soon" not in self._registry.failed
        return record

    def all(self) -> list[tuple[Loop, LoopRecord]]:
        """Every loop that has not been collected or closed, whether it runs or not."""
        return [(loop, record) for loop, record in self._pairs() if not _is_closed(loop)]

    def _pairs(self) -> list[tuple[Loop, LoopRecord]]:
        # Not by `items`, whose iterator is in Python: the program's thread may add a loop meanwhile.
        data: dict[weakref.ref[Loop], LoopRecord] = self._known.data.copy()  # type: ignore[attr-defined]
        return [(loop, record) for ref, record in data.items() if (loop := ref()) is not None]

    def _hook_running(self, original: Callable[[Any], None]) -> Callable[[Any], None]:
        def _set_running_loop(loop: Any) -> None:
            original(loop)
            try:
                if loop is not None:
                    frame = sys._getframe(1)
                    thread = get_ident(), get_native_id(), depth_of(frame)
                    self._started(loop, thread, frame.f_code.co_filename == _ASYNCIOS or kind_of(loop) == "uvloop")
                else:
                    self._stopped(get_ident())
            except Exception as error:
                self._registry.fail("loop start", error)

        return _set_running_loop

    def _hook_subclass(self, original: Callable[..., None]) -> Any:
        def __init_subclass__(cls: type, **kwargs: Any) -> None:  # noqa: N807 - it takes that method's place
            original(**kwargs)
            try:
                if is_foreign(cls):
                    self._hook_class(cls)
            except Exception as error:
                self._registry.fail("new loop classes", error)

        return classmethod(__init_subclass__)  # type: ignore[arg-type]

    def _hook_handler(self, original: Callable[..., None]) -> Callable[..., None]:
        def call_exception_handler(loop: Any, context: dict[str, Any]) -> None:
            try:
                stack = context.get("source_traceback")
                if stack:  # debug mode of a loop whose handles do not expose their stack
                    install.strip_hook_frame(stack, None)
                self.on_unhandled(context)
            except Exception as error:
                self._registry.fail("exception handler", error)
            original(loop, context)

        return call_exception_handler

    def _started(self, loop: Loop, thread: tuple[int, int, int], followed: bool) -> None:
        record = self._known.get(loop)
        if record is None:
            record = self._known[loop] = self._new(loop)
        record.thread, record.thread_native, record.depth = thread
        record.started = record.beat_sent = 0.0
        if not record.inside:  # else one of its callbacks runs it (nest_asyncio)
            record.nested = 0.0
        _end_unseen(record)
        install.begin_loop(loop, record, followed)

    def _stopped(self, thread: int) -> None:
        for key, record in list(install.loops.items()):
            if record.thread == thread:
                record.started = record.beat_sent = 0.0
                _end_unseen(record)
                install.end_loop(key)
                reading.settle(record)


def _is_closed(loop: Loop) -> bool:
    try:
        return loop.is_closed()
    except Exception:  # raised by a class of the program
        return False


def _end_unseen(record: LoopRecord) -> None:
    """The callback that a loop was in when the hooks were installed is over: the loop stopped, or starts again."""
    unseen = record.unseen
    if unseen is not None and not unseen.ended:
        unseen.ended = monotonic()


def kind_of(loop: Loop) -> str:
    """`asyncio`, `uvloop`, or the class name of any other loop."""
    cls = type(loop)
    package = cls.__module__.partition(".")[0]
    return package if package in ("asyncio", "uvloop") else cls.__qualname__


def is_foreign(cls: type) -> bool:
    """Whether a loop class does not derive from asyncio's BaseEventLoop (uvloop does not)."""
    return (
        issubclass(cls, events.AbstractEventLoop)
        and not issubclass(cls, base_events.BaseEventLoop)
        and getattr(cls, "create_task", None) is not events.AbstractEventLoop.create_task
    )


def _foreign_classes() -> list[type]:
    found: list[type] = []
    pending: list[type] = [events.AbstractEventLoop]
    while pending:
        for cls in list[type](type.__subclasses__(pending.pop())):
            if is_foreign(cls):
                found.append(cls)
            else:
                pending.append(cls)
    return found


def depth_of(frame: Any) -> int:
    """The number of frames of a stack."""
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    return depth


def running_loops() -> list[tuple[Loop, tuple[int, int, int]]]:
    """Loops that run now, each with its thread's identity, native id (0: unknown) and stack depth below the loop.

    A loop leaves a frame of `run_forever` or of `Runner.run` on the stack of its thread; a uvloop that was
    started without Runner leaves none and is found when it next creates a task.
    """
    found: list[tuple[Loop, tuple[int, int, int]]] = reading.read_any(_running_by_frames)
    return found or _running_without_frames()


def _running_by_frames() -> list[tuple[Loop, tuple[int, int, int]]]:
    codes: dict[Any, Callable[[Any], Any]] = {
        base_events.BaseEventLoop.run_forever.__code__: lambda frame: frame.f_locals.get("self"),
        runners.Runner.run.__code__: lambda frame: getattr(frame.f_locals.get("self"), "_loop", None),
    }
    found: list[tuple[Loop, tuple[int, int, int]]] = []
    for thread, top in ({} if process.has_sub_interpreters() else sys._current_frames()).items():
        keep = hold if thread != get_ident() else _as_it_is  # this thread lets go of its own
        frame: Any = keep(top)
        while frame is not None:
            find = codes.get(frame.f_code)
            loop = find(frame) if find is not None else None
            if loop is not None and all(loop is not other for other, _ in found):
                found.append((loop, (thread, native_id(thread), depth_of(frame))))
                break
            frame = keep(frame.f_back)
    top = frame = None  # type: ignore[assignment]  # one of these may be the frame of this call
    return found


def _as_it_is(frame: Any) -> Any:
    return frame


def _running_without_frames() -> list[tuple[Loop, tuple[int, int, int]]]:
    """Foreign loops that were started without Runner; their thread is known when they first answer the watchdog."""
    kinds = set(_foreign_classes())
    if not kinds:
        return []
    # type(), not isinstance(): a proxy or a mock would run code of its own.
    return [(loop, (0, 0, 0)) for loop in reading.instances(tuple(kinds)) if type(loop) in kinds and loop.is_running()]


def _adopt(task: Any, loop: Loop) -> None:
    if asyncio.futures._get_loop(task) is loop and not is_done(task):  # type: ignore[attr-defined]
        install.adopt(task, install.loops[loop], predates_probe=True)


def native_id(thread: int) -> int:
    """The native id of a thread; 0 if unknown."""
    threading = sys.modules.get("threading")
    known = getattr(threading, "_active", {}).get(thread) if threading is not None else None
    return getattr(known, "native_id", None) or 0


def busy_of(record: LoopRecord, now: float) -> float:
    """For how long a loop has been in callbacks since it was first counted (s), with the one that runs."""
    return _busy_since(record, now)[0]


def _busy_since(record: LoopRecord, now: float) -> tuple[float, float]:
    """The same, with the start of the callback that runs; 0.0: none runs."""
    # At once, without a call in between: a callback that ends meanwhile would count twice.
    busy, started, unseen = record.busy, record.started, record.unseen
    since = started or (unseen.since if unseen is not None else 0.0)
    if since:
        busy += max(now - since, 0.0)
    if not record.clocked and record.thread_native:
        busy = max(busy, _busy_by_cpu(record, busy))
    return busy, since


def row_of(record: LoopRecord, loop: Loop, lag: float) -> list[Any]:
    """The protocol.LOOP_ROW of a loop; `lag` (s) is the worst since the viewer's last row."""
    now = monotonic()
    busy, since = _busy_since(record, now)
    ready = getattr(loop, "_ready", None)
    running = install.record_of(install.current_task_of(loop))
    if record.since != since:
        since = 0.0  # it is over, and that task may be in another
    open_interval = max(now - since, 0.0) if since else 0.0
    sent = record.beat_sent
    return [
        record.id,
        round(max(lag, record.lag, now - sent if sent else 0.0) * 1e6),
        round(busy * 1e6),
        None if ready is None else len(ready),
        _timers(record, loop),
        record.steps,
        None if running is None or not since else running.id,
        round(open_interval * 1e6) if open_interval else 0,
    ]


def _timers(record: LoopRecord, loop: Loop) -> int | None:
    """The number of active timers of a loop. asyncio's own count of cancelled ones drifts, so each timer is checked.

    In slices that give up the GIL, and at most 2 % of the time.
    """
    now = monotonic()
    if now < record.timers_due:
        return record.timers
    timers = getattr(loop, "_scheduled", None)
    if not isinstance(timers, list):
        return None
    try:
        cancelled = 0
        for at in range(0, len(timers), 2000):
            turns.give()
            cancelled += sum(map(_cancelled, timers[at : at + 2000]))
    except Exception:  # raised by handles of the program's own
        cancelled = 0
    record.timers = max(len(timers) - cancelled, 0)
    record.timers_due = now + 50 * (monotonic() - now)
    return record.timers


_cancelled = attrgetter("_cancelled")


def static_of(record: LoopRecord) -> list[Any]:
    """The protocol.LOOP_STATIC of a loop."""
    threading = sys.modules.get("threading")
    known = getattr(threading, "_active", {}).get(record.thread) if threading is not None else None
    return [record.id, record.kind[:300], record.thread_native, str(getattr(known, "name", "") or "")[:300]]


def _busy_by_cpu(record: LoopRecord, busy: float) -> float:
    """The busy seconds of a loop that is not clocked: those known so far plus the CPU time of its thread since then.

    CPU time from before the thread became known is left out; it would all seem to be spent now.
    """
    cpu = thread_cpu(record)
    if record.cpu_before is None:
        record.cpu_before = cpu - busy
    return cpu - record.cpu_before


def thread_cpu(record: LoopRecord) -> float:
    """CPU seconds of the thread of a loop; 0.0 if unknown."""
    return process.thread_schedule(record.thread_native)[0]


def state_of(record: TaskRecord) -> int:
    """The state of a task as an index of protocol.STATES; -1 if it is no more."""
    state = reading.state_of(record)
    if state < -1:
        state = reading.read(record, _state_of, record)
    return -1 if state is None else state


def _state_of(task: Any, record: Any) -> int:
    """Read from the task: `_fut_waiter` is None or done while it is ready to run."""
    alive = record.loop.ref() if record.loop is not None else None
    if alive is not None and task is install.current_task_of(alive):
        return protocol.RUNNING
    if is_done(task):
        if record.outcome:
            return int(record.outcome)
        if is_cancelled(task):
            return protocol.CANCELLED
        return protocol.DONE if reading.hold(error_of(task)) is None else protocol.FAILED
    waiter = reading.hold(task._fut_waiter)
    if waiter is None or is_done(waiter):
        return protocol.SCHEDULED
    return protocol.WAITING
