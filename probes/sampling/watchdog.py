"""The watchdog: a thread that samples the stack of a loop's thread *while* a callback blocks the loop.

A step that has been running for longer than one look is sampled, again and again until it ends; each sample counts
for the time since the one before. The line is right even for one C call that holds the GIL: the watchdog gets
its turn when the call returns, while the frame is still at that line (measured on 3.11, 3.13 and 3.15).

Plain callbacks of loops other than asyncio's pass no hook. For them, and to measure the lag of every loop, the watchdog
sends a callback (a beat) to each loop; while it is overdue, the loop is blocked.
"""

from __future__ import annotations

import sys
from _thread import LockType, allocate_lock, get_ident, get_native_id
from collections import deque
from time import monotonic, thread_time
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..base import process
from ..base.task_facts import coro_name, task_name
from ..hooks import install, loops, reading
from ..hooks.groups import groups
from ..hooks.records import UnseenCallback
from . import unseen_callbacks
from .callback_stack import Stack, describe, stack_of
from .cpu_wait import NOTHING, CpuWait
from .gil_wait import Gil
from .slow_callback import SlowCallback
from .stack_samples import keep, stretches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..hooks.records import LoopRecord, TaskRecord

NEWEST = 40
"""The most recent samples that show where a callback is now."""
LITTLE = 5e-5
"""A loop with less callback time (s) than this between two looks is idle. Answering a beat takes 5e-6."""
REST = 0.2
REST_UNWATCHED = 4.0
"""Seconds between two beats of an idle loop: each beat wakes its thread, and a CPU."""

MOST_RESTING = 64
"""Loops whose rest is watched without the GIL (native/rest.c)."""


class Watchdog:
    """Runs in its own thread while steps are counted."""

    def __init__(self) -> None:
        self.caught: deque[SlowCallback] = deque(maxlen=1000)
        self.threshold = 0.1
        self.on_blocked: Callable[[], object] = bool  # called once when a step exceeds the threshold; it must not raise
        self.watched = True  # by somebody: then it looks closely, also while the loops rest
        self._pace = 0.025  # seconds from the last look to the next, as planned
        self._clocks: tuple[LoopRecord, ...] | None = None  # of the loops, if all rest and tell when they do not
        self._longest_rest = 0.0
        self._rest_ends = 0  # how many rests had been ended when it last began to look
        self._resting = False
        self.starting = 0  # threads that were started and have not run yet
        self.ids: deque[int] = deque(maxlen=16)  # native ids of its threads, including recently ended ones
        self.cpu = 0.0
        self._running = 0
        self._looked = 0.0
        self._looking = allocate_lock()
        self._alarm = allocate_lock()  # released to wake the thread
        self._unseen: dict[int, LoopRecord] = {}  # by id: loops that have passed no hook yet
        self.starved = CpuWait()
        self.gil = Gil(stack_of)

    @property
    def interval(self) -> float:
        """Seconds between two looks: a quarter of the threshold, 5 to 25 ms; twice that while nobody watches."""
        close = min(max(self.threshold / 4, 0.005), 0.025)
        return close if self.watched else 2 * close

    def _is_late(self, now: float) -> bool:
        return now - self._looked > self._pace + self.interval

    def start(self, start_thread: Callable[..., Any]) -> None:
        """Starts the thread. The hooks are in."""
        self._running += 1
        self._looked = now = monotonic()
        for record in list(install.loops.values()):
            record.unseen = None if record.started or record.busy else UnseenCallback(now)
            if record.unseen is not None:
                record.unseen.waited = process.thread_schedule(record.thread_native)[1]
                self._unseen[record.id] = record
        self.starved.sample(list(install.loops.values()))
        self.gil.sample(self.gil.see(stacks=False), (), late=False)
        self._alarm = allocate_lock()
        self._alarm.acquire()
        self.starting += 1
        try:
            start_thread(self._run, (self._running, self._alarm))
        except BaseException:
            self.starting -= 1
            raise

    def stop(self) -> None:
        """Ends the thread at its next look."""
        self._running += 1
        self._end_rest()
        for record in list(self._unseen.values()):
            record.unseen = None
        self._unseen.clear()

    def hurry(self) -> None:
        """Ends a pause that is longer than what viewers need by now. Called by the other thread of the probe."""
        if self._pace > self.interval and self._alarm.locked():
            self._alarm.release()
        self._end_rest()

    @staticmethod
    def _end_rest() -> None:
        if install.native_state is not None:
            install.native_state.end_rest()

    def _pause(self, alarm: LockType) -> None:
        """Waits until it is time for the next look."""
        clocks = self._clocks
        if clocks is None or install.native_state is None:
            alarm.acquire(timeout=self._pace)
            return
        self._resting = True
        self._looked = install.native_state.rest(clocks, self._pace, self._longest_rest, self._rest_ends)
        self._resting = False

    def _run(self, number: int, alarm: LockType) -> None:
        process.block_signals()
        self.ids.append(get_native_id())
        self.starting -= 1
        try:
            self.gil.own.add(get_ident())
            while number == self._running:
                self._pause(alarm)
                if number != self._running:
                    break
                self.check()
                self.cpu = thread_time()
        except Exception as error:
            install.state.on_error("watchdog", error)
        finally:
            self.starved.forget()
            self.gil.forget()
            self.gil.own.discard(get_ident())

    def check_if_late(self) -> None:
        """Looks, in the other thread of the probe, if the last look is too long ago. Called whenever that may have
        waited for the GIL: a C call that keeps it is seen by the first thread that gets it when the call returns, and
        by that one only; the next may be the loop's own again.
        """
        now = monotonic()
        if self._resting and not any(
            0.0 < record.started < now - self._pace for record in list(install.loops.values())
        ):
            return  # it looks at the clocks of the loops without the GIL
        if self._is_late(now):
            self.check()

    def check(self) -> None:
        """Looks at all loops once."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            self._check()
        finally:
            self._looking.release()

    def blocked(self, least: float) -> list[SlowCallback]:
        """The callbacks that have been blocking a loop for this many seconds or longer."""
        found = []
        for record in list(install.loops.values()):
            unseen, started = record.unseen, record.started
            now = monotonic()
            since = started or (unseen.since if unseen is not None else now)
            if now - since < least:
                continue
            samples = record.samples if record.blocked_since == started else []
            if not started and unseen is not None:
                samples = unseen.samples
            slow = SlowCallback(record, 0, "", "", now, now - since, [one[:2] for one in samples[-NEWEST:]])
            slow.at_least = not started
            if started:
                slow.starved = self.starved.so_far(record, started).starved
            elif unseen is not None:
                slow.starved = unseen_callbacks.starved(unseen, record, now - since)
            if record.started == started and record.unseen is unseen:
                found.append(slow)
        return found

    def _check(self) -> None:
        self._clocks = None
        if install.native_state is not None:
            self._rest_ends = install.native_state.rest_ends
        while True:
            now = monotonic()
            if self._unseen:
                self._check_unseen(now)
            elif not self.watched and self._all_rest(now):
                self.gil.rest()
                self._looked = now
                self._pace = max(self.threshold, self.interval)
                return
            self._pace = self.interval
            silent = self._sample_all(now)
            late, self._looked = self._is_late(now), now
            self._see_why(list(install.loops.values()), now, late)
            for loop, record in silent:
                if not self._rests(record, now):
                    self._beat(loop, record, now)
            # Reading files and sending a beat give up the GIL, so sample before the program moves on.
            if monotonic() - now < 2 * self.interval:
                return

    def _see_why(self, records: list[LoopRecord], now: float, late: bool) -> None:
        """Measures how long the running callbacks have waited for a CPU and for the GIL."""
        running = [
            (record, started) for record in records if 0.0 < (started := record.started) < now - self.interval / 2
        ]
        moment = self.gil.see(stacks=bool(running))
        states = [self.gil.doing(record, moment) for record, _ in running]
        self.starved.sample(records)
        spent = [self.starved.so_far(*each) for each in running]
        waiting = [
            (*each, time, state)
            for each, time, state in zip(running, spent, states, strict=True)
            if time is not NOTHING
        ]
        self.gil.sample(moment, waiting, late=late)

    def _sample_all(self, now: float) -> list[tuple[Any, LoopRecord]]:
        """Samples the loops that are in a callback; returns those without a pending beat."""
        silent = []
        for loop, record in install.running():
            started = record.started
            sent = record.beat_sent
            if sent:
                lag = now - sent
                if lag > record.lag_peak:  # no `max`: the sampler may reset it during a call
                    record.lag_peak = lag
            else:
                silent.append((loop, record))
            if now - started > self.interval * 0.8 if started else not (record.clocked or record.unseen):
                stack = stack_of(reading.thread_stack(record.thread), record.depth)
                if started:
                    self._sample(record, started, now, stack)
                else:
                    self._sample_unclocked(record, now, stack)
        return silent

    def _all_rest(self, now: float) -> bool:
        """Whether no loop is in a callback or has worked since the last look. A resting program pays for this alone:
        waking up takes longer (40 us) than the look.
        """
        silent, clocks = [], []
        for loop, record in install.running():
            clocks.append(record)
            if record.started or record.beat_sent or record.between or record.busy - record.busy_before >= LITTLE:
                return False
            if not record.clocked and stack_of(reading.thread_stack(record.thread), record.depth):
                return False
            if now - record.answered >= REST_UNWATCHED:
                silent.append((loop, record))
        for loop, record in silent:
            self._beat(loop, record, now)
        if all(record.clocked for record in clocks) and len(clocks) <= MOST_RESTING:
            self._clocks = tuple(clocks)
            self._longest_rest = 0.0 if silent else REST_UNWATCHED
        return True

    def _rests(self, record: LoopRecord, now: float) -> bool:
        """Whether a loop has been almost idle since the previous look, and has answered a beat recently."""
        before, record.busy_before = record.busy_before, record.busy
        if record.started:
            return False
        if not record.clocked:
            if self.watched or any(stack for stack, _, _ in record.between):
                return False
            record.between = []
        return record.busy - before < LITTLE and now - record.answered < (REST if self.watched else REST_UNWATCHED)

    def _sample(self, record: LoopRecord, started: float, now: float, stack: Stack) -> None:
        if record.blocked_since != started:
            record.samples = []
            record.blocked_since = started
        before = record.samples[-1][2] if record.samples else started
        if record.started != started:
            return  # it ended meanwhile, so the stack may be that of the next callback
        keep(record.samples, (stack, now - before, now))
        if before - started < self.threshold <= now - started:
            self.on_blocked()

    def _sample_unclocked(self, record: LoopRecord, now: float, stack: Stack) -> None:
        """Samples a loop whose callbacks start unseen, somewhere between the last look and this one."""
        before = max(self._looked, record.answered)
        if not record.between:
            before += min(now - before, self.interval) / 2
        keep(record.between, (stack, now - before, now))

    def _check_unseen(self, now: float) -> None:
        """Samples the callbacks whose start no hook saw, and accounts those that are over."""
        for record in list(self._unseen.values()):
            unseen, loop = record.unseen, record.ref()
            if unseen is None or loop is None:
                self._unseen.pop(record.id, None)
                continue
            if not record.thread:
                record.thread, record.depth = unseen_callbacks.find_thread(loop)
                record.thread_native = loops.native_id(record.thread)
                unseen.waited = process.thread_schedule(record.thread_native)[1]
            lines = reading.thread_stack(record.thread)
            stack = stack_of(lines, record.depth)
            task = reading.running_record(loop)
            # Checked after the stack was taken, which may be that of the next callback.
            if unseen_callbacks.has_ended(unseen, record, lines, stack, task):
                self._unseen.pop(record.id, None)
                record.unseen = None
                self._book_unseen(record, unseen)
                continue
            if not unseen.samples:
                unseen_callbacks.identify(unseen, task, stack)
            before = unseen.samples[-1][2] if unseen.samples else unseen.since
            keep(unseen.samples, (stack, now - before, now))

    def _book_unseen(self, record: LoopRecord, unseen: UnseenCallback) -> None:
        if not unseen.samples:
            return
        ended = unseen_callbacks.end_of(unseen, record)
        duration = ended - unseen.since
        record.busy += duration
        unseen_callbacks.count(unseen, duration, ended)
        if duration > record.lag_peak:
            record.lag_peak = duration
        if duration >= self.threshold:
            number = unseen.task.id if unseen.task is not None else 0
            samples = [sample[:2] for sample in unseen.samples]
            slow = SlowCallback(record, number, unseen.name, unseen.what, ended, duration, samples)
            slow.starved = unseen_callbacks.starved(unseen, record, duration)
            slow.at_least = True
            self.caught.append(slow)

    def _beat(self, loop: Any, record: LoopRecord, now: float) -> None:
        def beat() -> None:
            if record.beat_sent != now:
                return  # the loop was stopped before it answered, and runs again
            record.answered = answered = monotonic()
            record.lag = lag = answered - now
            if lag > record.lag_peak:
                record.lag_peak = lag
            record.beat_sent = 0.0
            if not record.thread:
                record.thread, record.thread_native = get_ident(), get_native_id()
                record.depth = loops.depth_of(sys._getframe(1))
            if not record.clocked:
                self._book_unclocked(record, answered)

        record.beat_sent = now
        try:
            loop.call_soon_threadsafe(beat)
        except RuntimeError:  # closed meanwhile
            record.beat_sent = 0.0
        if install.loops.get(loop) is not record:  # stopped meanwhile: it answers only if it runs again
            record.beat_sent = 0.0

    def _book_unclocked(self, record: LoopRecord, answered: float) -> None:
        """Finds what blocked a loop whose callbacks pass no hook."""
        samples, record.between = record.between, []
        for one in stretches(samples, answered, 2 * self.interval):
            if one.duration >= self.threshold:
                name = f"{one.code.co_qualname}()"
                slow = SlowCallback(record, 0, "", name, one.ended, one.duration, one.samples)
                slow.starved = self.starved.between(record, one.ended - one.duration, one.ended)
                self.caught.append(slow)

    def record_slow(
        self, record: LoopRecord, callback: Any, task: TaskRecord | None, started: float, elapsed: float
    ) -> None:
        """Called by the hooks, in the program's thread, for each callback longer than the threshold."""
        samples = record.samples if record.blocked_since == started else []
        record.samples = []
        if type(callback) is FunctionType and callback.__globals__.get("__package__") == __package__:
            return  # a beat, on an overloaded machine: the probe never shows itself
        # Any callback that was due when it began had to wait for all of it. A beat need not have been pending: the
        # thread that sends them gets no turn while a C call holds the GIL.
        if elapsed > record.lag_peak:
            record.lag_peak = elapsed
        name, text, number = "", "", 0
        alive = task() if task is not None else None
        if task is not None and alive is not None:
            # No hook calls this for the eager first step of a task, which is part of a step of its creator.
            number, name, text = task.id, task_name(alive), coro_name(alive, stepped=True)
        slow = SlowCallback(record, number, name, text or describe(callback), started + elapsed, elapsed, [])
        slow.samples = [sample[:2] for sample in samples]
        slow.label = groups.label_of(task) if task is not None else None
        ended = started + elapsed
        late = self._is_late(ended)
        moment = self.gil.see(stacks=True)
        spent = self.starved.of(record, started, record.busy - elapsed, ended)
        slow.starved, slow.asleep, slow.throttled, slow.faults = (
            spent.starved,
            spent.asleep,
            spent.throttled,
            spent.faults,
        )
        slow.waited = self.gil.over(record, started, spent, moment, late=late)
        self.caught.append(slow)
