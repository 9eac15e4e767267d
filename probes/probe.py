"""The probe: puts the parts together, switches counting on and off with the viewers, and leaves without a trace."""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock, get_ident, start_new_thread
from time import monotonic, thread_time, time
from typing import TYPE_CHECKING, Any

from .base import local_values, process, sites
from .base.owned_fds import LostError
from .base.settings import Settings, text_of, warn
from .base.sites import Tables
from .base.validation import BadRequestError, require_control
from .hooks import cancellation, install
from .hooks.fork_warning import Hush
from .hooks.loops import Loops
from .hooks.records import Histogram, TaskRecord, is_done
from .hooks.registry import Registry
from .hooks.unawaited import Unawaiteds
from .inspection.sync_scan import Signs
from .memory.requests import Memory
from .sampling import watchdog
from .sampling.events import Events
from .sampling.journal import Journal
from .sampling.rows import Clock
from .sampling.sampler import Sampler
from .serving.endpoints import Openings
from .serving.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from .serving.session import Session

_LONGEST_WITHOUT_LOOK = 0.25
_PRUNE_EVERY = 10.0
"""Seconds: nobody watches, but of a task that is no more the record stays until its address is used again."""
_WAIT_FOR_A_VIEWER = 10.0


class Probe:
    """What is in the watched program. One per process; `probes.install()` finds the one that is there."""

    def __init__(self, settings: Settings, door: bool = False) -> None:
        self.settings = settings
        self.session_id = os.urandom(16).hex()
        self.opened = time()
        self.openings = Openings(settings, door, self.session_id)
        self._lock = allocate_lock()
        self._ended = allocate_lock()
        self._alive = False
        self._cpu = 0.0
        self._hook_cost = 0.0
        self._expected_until = monotonic() + settings.expect if settings.expect else 0.0
        self._next_look = 0.0
        self._next_prune = 0.0
        self.prune_every = _PRUNE_EVERY
        self.longest_without_look = _LONGEST_WITHOUT_LOOK
        self._leave_at = monotonic() + _WAIT_FOR_A_VIEWER if settings.leave else 0.0
        self._had_viewers = False
        self.on_end: Callable[[], None] = lambda: None
        self.on_gone: Callable[[], None] = lambda: None
        self.journal = Journal(settings.ended)
        self.clock = Clock()
        tables = Tables()
        self.events = Events(self.journal, tables, self.clock)
        self.registry = Registry(self.notice)  # by way of this the probe is found when it is taken apart
        self.watchdog = watchdog.Watchdog()
        self.loops = Loops(self.registry)
        self.loops.on_unhandled = self.events.unhandled
        self.sampler = Sampler(self.loops, tables, self.events)
        self.signs = Signs(self.loops, tables, self.watchdog)
        self.unawaited = Unawaiteds()
        self.memory = Memory(settings, self.clock, self.journal, tables)
        self.hush = Hush(lambda: (self.watchdog.ids, 1 + self.watchdog.starting))
        self.server = Server(self)

    # Coming and going

    def start(self) -> None:
        """Gets ready and starts the thread. What cannot be had is warned about; where not even a thread can,
        RuntimeError is raised and nothing is left in.
        """
        try:
            self.get_ready()
            start_new_thread(self.serve, ())
        except BaseException:
            self._take_out()
            raise

    def get_ready(self) -> None:
        """Hooks births and opens the socket; `serve` is to be called next, in a thread of its own."""
        self._ended.acquire()
        sites.skip_also(tuple(part for part in self.settings.skip.split(",") if part))
        install.state.closed = False
        install.state.on_error = self.registry.fail
        install.state.on_slow = self.watchdog.book
        self.loops.install()
        self.unawaited.install(self.registry)
        self.openings.open(self.server)
        self.viewers_changed()
        self._alive = True
        if self.settings.announce:
            self.openings.announce()

    def stop(self) -> None:
        """Takes everything out: hooks, counting, threads, files. Safe to call twice and from any thread."""
        with self._lock:
            if not self._alive:
                return
            self._alive = False
        if not self.server.stop():
            self._take_out()  # the program closed our sockets, so the thread sleeps on
        elif get_ident() != self._thread:
            self._ended.acquire(timeout=2.0)

    def stop_soon(self, why: str) -> None:
        """Asks the thread of the probe, which this is called in, to end after what it does now."""
        self.notice(f"the probe leaves: {why}")
        with self._lock:
            self._alive = False
        self.server.stop()

    _thread = 0

    def serve(self) -> None:
        """The body of the probe's thread: returns when the probe has left."""
        self._thread = get_ident()
        try:
            self.watchdog.gil.own.add(get_ident())
            self.server.run()
        except LostError:
            pass  # the program closed our sockets; whatever has their numbers now is not ours
        except Exception as error:
            warn(f"the probe ends, the program goes on: {text_of(error)}")
        self._take_out()
        self._ended.release()
        self.on_gone()

    def _take_out(self) -> None:
        self._alive = False
        for part in (
            self._stop_counting,
            self.hush.end,
            self.registry.remove_all,
            self.server.close,
            self.memory.close,
            self.openings.close,
            self._forget_tasks,
            self._forget_itself,
            self.on_end,
        ):
            try:
                part()
            except Exception as error:  # the others are to go all the same
                warn(f"the probe could not clean up: {text_of(error)}")

    def _forget_itself(self) -> None:
        if getattr(sys, "_looptop_probe", None) is self:
            del sys._looptop_probe  # type: ignore[attr-defined]

    def _forget_tasks(self) -> None:
        install.state.closed = True
        install.records.clear()
        install.loops.clear()
        install.state.forget_loops()
        install.changed.clear()
        install.site_aggregates.clear()
        self.sampler.by_id.clear()

    def forked(self) -> None:
        """In a child after fork: no thread of ours lives here, so hooks and copied sockets go."""
        self._alive = False
        install.state.watching = False
        self.hush.end()
        self.registry.remove_all()
        self.server.close()
        self.memory.close(forked=True)
        self._forget_tasks()
        self._forget_itself()

    # Counting

    def viewers_changed(self) -> None:
        """Adapts what is collected to what the viewers look at now."""
        sessions = [viewer.session for viewer in self.server.viewers if viewer.session.watching]
        if sessions:
            self._expected_until = 0.0
        if self.settings.leave:
            self._had_viewers = self._had_viewers or bool(self.server.viewers)
            self._leave_at = self._when_to_leave()
        if sessions or monotonic() < self._expected_until:
            thresholds = [session.watch.slow for session in sessions] or [self.settings.slow]
            install.state.slow_threshold = self.watchdog.threshold = min(thresholds)
            install.state.origin_depth = max((session.watch.origins for session in sessions), default=0)
            asked = self.settings.control and any(session.watch.locals for session in sessions)
            local_values.wanted = self.settings.locals or asked
            self._start_counting()
        else:
            self._stop_counting()
        if not any(session.watch.findings for session in sessions):
            self.signs.stop()
        self.memory.viewers_changed(viewer.session for viewer in self.server.viewers)
        wanted: dict[int, TaskRecord] = {}
        for session in sessions:
            before = session.detailed
            session.detailed = self.record_of(session.watch.detail)
            if session.detailed is not None:
                wanted[session.detailed.id] = session.detailed
                if session.detailed.histogram is None:
                    session.detailed.histogram = Histogram()
            if before is not None and before.id not in wanted:
                before.histogram = None

    def _when_to_leave(self) -> float:
        if self.server.viewers:
            return 0.0
        return monotonic() if self._had_viewers else self._leave_at

    def _start_counting(self) -> None:
        if install.state.watching or self.openings.pid != os.getpid():
            return
        self.sampler.start_counting()
        install.state.watching = True
        self.loops.watch()
        if not self._hook_cost:
            self._hook_cost = install.cost_of_a_step()
        try:
            self.watchdog.start(start_new_thread, _sleeper())
        except RuntimeError as error:  # the program has as many threads as it may
            self.registry.fail("watchdog", error)
        self._see(self.watchdog.look)  # for the first thing that a viewer gets

    def _stop_counting(self) -> None:
        if not install.state.watching:
            return
        self.watchdog.stop()
        self.loops.unwatch()
        install.state.watching = False
        install.state.origin_depth = 0
        local_values.wanted = False
        install.changed.clear()
        cancellation.clear()

    def woken(self) -> None:
        """The thread has the GIL again; perhaps because something that kept it has just ended (see slow.py)."""
        if install.state.watching:
            self._see(self.watchdog.look_if_late)

    def _see(self, look: Callable[[], None]) -> None:
        try:
            look()
        except Exception as error:
            self.registry.fail("watchdog", error)

    def next_look(self) -> float | None:
        """When the thread must look at the hooks although no viewer is due; None: no need."""
        times = [when for when in (self._expected_until, self._leave_at) if when]
        if install.state.watching:  # also for viewers that are slow, or do not read: the hooks' book is bounded
            times.append(self._next_look)
        else:
            times.append(self._next_prune)
        memory = self.memory.due()
        return min(times if memory is None else [*times, memory], default=None)

    def look_if_due(self, now: float) -> None:
        """Takes what the hooks booked, if some viewer is due or counting goes on without one."""
        if self._expected_until and now >= self._expected_until:
            self._expected_until = 0.0
            self.viewers_changed()
        if self._leave_at and now >= self._leave_at:
            self.stop_soon("nobody looks any more")
        self.memory.step(now)
        if not install.state.watching:
            if now >= self._next_prune:
                self._next_prune = now + self.prune_every
                self.sampler.prune()
            self._tell()
            return
        sessions = self._watching()
        if now >= self._next_look or any(now >= session.due for session in sessions):
            self._look(now, sessions)
            if any(session.watch.findings for session in sessions):
                self.signs.look(now)

    def look_last(self, now: float) -> None:
        """Takes in what happened since the last look, before the probe leaves."""
        if install.state.watching:
            self._see(self.watchdog.look)
            self._look(now, self._watching())

    def _watching(self) -> list[Session]:
        return [viewer.session for viewer in self.server.viewers if viewer.session.watching]

    def _look(self, now: float, sessions: list[Session]) -> None:
        self._next_look = now + self.longest_without_look
        self._tell()
        changes = self.sampler.look()
        while self.watchdog.caught:
            self.events.slow_callback(self.watchdog.caught.popleft())
        self.memory.seen(now, *self._done_so_far())
        for session in sessions:
            session.merge(changes)
        self._cpu = thread_time()

    def _done_so_far(self) -> tuple[int, float]:
        """Steps and busy time of all loops."""
        records = [record for _, record in self.loops.all()]
        return sum(record.steps for record in records), sum(record.busy for record in records)

    def _tell(self) -> None:
        self.events.write_down()
        while self.unawaited.found:
            self.events.unawaited(self.unawaited.found.pop(0))
        if self.unawaited.lost:
            self.events.drop(self.unawaited.lost)
            self.unawaited.lost = 0

    def notice(self, text: str) -> None:
        """One line for the viewers, from any thread."""
        self.events.notice(text)

    # What viewers ask

    def record_of(self, number: int | None) -> TaskRecord | None:
        """The record of a live task by its id, as far as the sampler has seen it."""
        if number is None or number >> 63:  # the table of the twin in C raises for what is no 64-bit number
            return None
        return self.sampler.by_id.get(number)

    def cancel(self, number: Any) -> None:
        """Cancels a task in its own loop. Raises BadRequestError with one line why not."""
        require_control(self.settings)
        record = self.record_of(number) if type(number) is int else None
        task = record() if record is not None else None
        if task is None or is_done(task):
            raise BadRequestError(f"no such task: {str(number)[:40]}")
        try:
            task.get_loop().call_soon_threadsafe(task.cancel)
        except RuntimeError:
            raise BadRequestError("the loop of that task is closed") from None

    def process_facts(self) -> dict[str, Any]:
        """The `process` of a tick."""
        facts: dict[str, Any] = {"rss": process.resident()}
        self.woken()
        facts["cpu"] = round(process.cpu_time() * 1e6)
        facts["threads"] = process.threads()
        self.woken()
        facts["fds"] = process.descriptors()
        self.woken()
        return facts

    def own_facts(self, missed: int) -> dict[str, Any]:
        """The `probe` of a tick; `missed` are the events that one viewer has missed."""
        steps = sum(record.steps for _, record in self.loops.all())
        events = self.events
        return {
            "cpu": round((self._cpu + self.watchdog.cpu) * 1e6),
            "hooks": round(steps * self._hook_cost * 1e6),
            "viewers": len(self.server.viewers),
            "tasks": len(install.records),
            "dropped": events.dropped + missed,
            "dropped_at": events.dropped_at,
            "unnamed": events.unnamed,
            "off": [f"{name}: {why}"[:300] for name, why in self.registry.failed.items()],
        }


def _sleeper() -> Any:
    lock = allocate_lock()
    lock.acquire()

    def wait(seconds: float) -> bool:
        return lock.acquire(timeout=seconds)

    return wait
