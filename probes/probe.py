"""The probe: puts the parts together, gives each its turn in the probe's thread, and leaves without a trace."""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock, get_ident, start_new_thread
from time import time
from typing import TYPE_CHECKING

from .base import process, sites
from .base.owned_fds import LostError
from .base.settings import Settings, text_of, warn
from .base.sites import Tables
from .base.turns import turns
from .blackbox.box import Box
from .dump.on_signal import DumpSignal
from .flame.flames import Flames
from .history.recorder import History
from .hooks import install
from .hooks.fork_warning import MutedWarning
from .hooks.loops import Loops
from .hooks.registry import Registry
from .hooks.unawaited import UnawaitedCoroutines
from .inspection.gil_share import GilShare
from .inspection.sync_scan import SyncScanner
from .labels.labels import Labels
from .memory.requests import Memory
from .sampling import watchdog
from .sampling.counting import Counting
from .sampling.events import Events
from .sampling.journal import Journal
from .sampling.rows import Clock
from .sampling.sampler import Sampler
from .serving.demand import Demand
from .serving.endpoints import Endpoints
from .serving.facts import Facts
from .serving.server import Server
from .serving.task_control import TaskControl
from .trace.ring import StepRing

if TYPE_CHECKING:
    from collections.abc import Callable

    from .serving.session import Session


class Probe:
    """The probe of a process. There is one at most; `probes.install()` returns the existing one."""

    def __init__(self, settings: Settings, pass_fds: bool = False) -> None:
        self.settings = settings
        self.session_id = os.urandom(16).hex()
        self.opened = time()
        self.endpoints = Endpoints(settings, pass_fds, self.session_id)
        self._lock = allocate_lock()
        self._ended = allocate_lock()
        self._alive = False
        self.on_end: Callable[[], None] = lambda: None
        self.on_gone: Callable[[], None] = lambda: None
        self.journal = Journal(settings.ended)
        self.clock = Clock()
        tables = Tables()
        self.events = Events(self.journal, tables, self.clock)
        self.registry = Registry(self.notice)  # teardown finds the probe through this reference
        self.watchdog = watchdog.Watchdog()
        self.loops = Loops(self.registry)
        self.loops.on_unhandled = self.events.unhandled
        self.sampler = Sampler(self.loops, tables, self.events)
        self.sync_scanner = SyncScanner(self.loops, tables, self.watchdog)
        self.labels = Labels(self.notice, self.registry, settings.label)
        self.unawaited = UnawaitedCoroutines()
        self.memory = Memory(settings, self.clock, self.journal, tables)
        self.flames = Flames(tables, self.sampler.by_id.get)
        self.gil_share = GilShare()
        self.hush = MutedWarning(self._threads)
        self.counting = Counting(self.registry, self.loops, self.sampler, self.watchdog, self.events, self.unawaited)
        self.history = History(self.loops, self.sampler, self.clock.unix)
        self.ring = StepRing(settings.trace, tables, self.clock)
        self.tasks = TaskControl(settings, self.sampler)
        self.server = Server(self)
        self.demand = Demand(settings, self.server.viewers, self.watchdog)
        self.box = Box(self)
        self.dump_signal = DumpSignal(settings.dump_signal, self.loops)
        self.facts = Facts(self.counting, self.events, self.registry, self.server.viewers)

    def _threads(self) -> tuple[list[int], int]:
        """The kernel's ids of threads that are or were the probe's, and how many more there are."""
        samplers = (self.flames.on_loop.thread, self.gil_share.thread)
        starting = self.watchdog.starting + sum(sampler.starting for sampler in samplers)
        return [*self.watchdog.ids, *(one for sampler in samplers for one in sampler.ids)], 1 + starting

    # Start and end

    def start(self) -> None:
        """Installs the probe and starts its thread. Missing features are reported as warnings; if no thread can start,
        everything is removed again and RuntimeError is raised.
        """
        try:
            self.get_ready()
            start_new_thread(self.serve, ())
        except BaseException:
            self._take_out()
            raise

    def get_ready(self) -> None:
        """Hooks the creation of tasks and opens the endpoints; call `serve` next, in a thread of its own."""
        self._ended.acquire()
        sites.skip_also(tuple(part for part in self.settings.skip.split(",") if part))
        install.state.closed = False
        install.state.on_error = self.registry.fail
        install.state.on_slow = self.watchdog.record_slow
        self.labels.install()
        self.loops.install()
        self.unawaited.install(self.registry)
        self.endpoints.open(self.server)
        self.viewers_changed()
        self._open_box()
        self.dump_signal.start(self.server.listen_to)
        self._alive = True
        if self.settings.announce:
            self.endpoints.announce()

    def stop(self) -> None:
        """Removes everything: hooks, threads, files. Safe to call twice and from any thread."""
        with self._lock:
            if not self._alive:
                return
            self._alive = False
        if not self.server.stop():
            self._take_out()  # the program closed the probe's sockets, so its thread cannot be woken
        elif get_ident() != self._thread:
            self._ended.acquire(timeout=2.0)

    def stay(self) -> None:
        """Keeps the probe in, remembering, when the last viewer leaves."""
        self.demand.stay()
        self.server.announce_staying()
        self.viewers_changed()
        self._open_box()

    def stop_soon(self, why: str) -> None:
        """Makes the probe's thread, which calls this, end after its current turn."""
        self.notice(f"the probe leaves: {why}")
        with self._lock:
            self._alive = False
        self.server.stop()

    def exit(self, how: str) -> None:
        """Leaves because the process is about to end in order; `how` is for the black box."""
        self.box.how = how
        self.on_gone = lambda: None  # unloading modules would be in vain
        self.stop()

    _thread = 0

    def serve(self) -> None:
        """The body of the probe's thread: returns when the probe has left."""
        self._thread = get_ident()
        process.block_signals()
        try:
            self.watchdog.gil.own.add(get_ident())
            self.server.run()
        except LostError:
            pass  # the program closed the probe's sockets; their numbers may be reused by now
        except Exception as error:
            warn(f"the probe ends, the program goes on: {text_of(error)}")
        self._take_out()
        self._ended.release()
        self.on_gone()

    def _take_out(self) -> None:
        self._alive = False
        for part in (
            self.dump_signal.stop,
            self.history.stop,
            self.ring.stop,
            self._stop_counting,
            self.hush.end,
            self.registry.remove_all,
            self.server.close,
            self.memory.close,
            self._close_box,
            self.endpoints.close,
            self.counting.forget,
            self._forget_itself,
            self.on_end,
        ):
            try:
                part()
            except Exception as error:  # remove the other parts all the same
                warn(f"the probe could not clean up: {text_of(error)}")

    def _forget_itself(self) -> None:
        if getattr(sys, "_looptop_probe", None) is self:
            del sys._looptop_probe  # type: ignore[attr-defined]

    def _open_box(self) -> None:
        """Begins the black box of a program that is remembered with nobody connected."""
        if self.demand.always_on:
            self.box.open()
            if self.box.hz:
                self.viewers_changed()
            self.watchdog.on_blocked = self._loop_is_blocked
        elif self.box.is_asked_for():
            warn(f"no black box: {'history is off' if install.NATIVE else f'the hooks are {install.HOOKS}'}")

    def _close_box(self) -> None:
        self.watchdog.on_blocked = bool
        self.box.close()

    def forked(self) -> None:
        """Called in a child after a fork, which has no thread of the probe: removes hooks and copied sockets."""
        self._alive = False
        install.state.watching = False
        self.dump_signal.stop()
        self.history.stop()
        self.ring.stop()
        self.hush.end()
        self.flames.forked()
        self.gil_share.forked()
        self.registry.remove_all()
        self.server.close()
        self.memory.close(forked=True)
        self.box.forked()
        self.counting.forget()
        self._forget_itself()

    # What the viewers need

    def viewers_changed(self) -> None:
        """Adapts what is collected to what the viewers look at now."""
        demand = self.demand
        if demand.wants_counting():
            demand.apply()
            self.counting.attend(demand.wants_rows())
            self.counting.start()
            self.ring.start()
            self.flames.adapt(**demand.flames(self.box.hz))
            self.gil_share.switch(demand.wants_gil(), start_new_thread)
            if demand.always_on:
                self.history.start()
        else:
            self.ring.stop()
            self._stop_counting()
        self.ring.describe_more(demand.wants_steps())
        if not demand.wants_findings() and not self.box.on:
            self.sync_scanner.stop()
        self.memory.viewers_changed(viewer.session for viewer in self.server.viewers)
        demand.follow_details(self.tasks.record_of)

    def _stop_counting(self) -> None:
        self.flames.adapt(0, jobs=False, wait=False, by_task=False)
        self.gil_share.switch(False, start_new_thread)
        self.counting.stop()

    def woken(self) -> None:
        """The probe's thread has the GIL again."""
        self.counting.woken()

    def next_look(self) -> float:
        """When the thread must look at the hooks although no viewer is due, in seconds of the monotonic clock."""
        times = [*self.demand.deadlines(), self.counting.due()]
        times += [due for due in (self.memory.due(), self.box.due()) if due is not None]
        return min(times)

    def sample_if_due(self, now: float) -> None:
        """Collects what the hooks recorded, if some viewer is due or counting goes on without one."""
        if self.demand.has_lapsed(now):
            self.viewers_changed()
        if self.demand.should_leave(now):
            self.stop_soon("no viewer is connected")
        self.memory.step(now)
        if not self.counting.on:
            self.counting.prune_if_due(now)
            self.counting.collect_events()
            return
        sessions = self.demand.sessions()
        if now >= self.counting.due() or any(now >= session.due for session in sessions):
            self._sample(now, sessions)
            turns.give()
            watched = self.demand.wants_findings()
            if watched or self.box.on:
                self.sync_scanner.scan(now, watched, self.box.is_idle(now))
        self.box.feed(now)

    def _loop_is_blocked(self) -> None:
        """Called by the watchdog: the black box must have it before the program is killed for it."""
        if self.box.on:
            self.box.hurry()
            self.server.wake()

    def sample_last(self, now: float) -> None:
        """Collects what happened since the last look, before the probe leaves."""
        if self.counting.on:
            self.counting.check_threads()
            self._sample(now, self.demand.sessions())

    def _sample(self, now: float, sessions: list[Session]) -> None:
        changes = self.counting.collect(now, self.flames.longest_without_sample())
        self.memory.seen(now, *self.counting.totals())
        self.history.look(now, changes)
        self.labels.look()
        for session in sessions:
            session.merge(changes)
        self.box.merge(changes)
        drained, waits = self.flames.collect(now, changes)
        for session in (*sessions, *self.box.sessions()):
            session.flame.take(drained, waits, self.flames.waiting.late)
        self.gil_share.look()
        self.counting.note_cpu(self.flames.on_loop.cpu + self.gil_share.cpu)

    def notice(self, text: str) -> None:
        """Sends one line to every viewer; may be called from any thread."""
        self.events.notice(text)
