"""The store of one watched program: `apply(frame)` is its only writer. It knows no widget, colour or socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.protocol import frames, keyframes
from monitor.protocol.rows import SECOND
from monitor.store import convert, past, rates
from monitor.store.flame import FlameSamples
from monitor.store.model import Loop, Notice, SiteStats
from monitor.store.past import FINE
from monitor.store.state import State
from probes.base import protocol

if TYPE_CHECKING:
    from monitor.protocol.rows import SiteRow

MOST_LOOPS = 5000
NEARLY_ALL = 0.9
"""Share of a program's tasks from which on they count as known: some are born and end between two ticks."""
FEW = 8
"""A sparkline with at most so many values is extended by the past."""


class Store(State):
    """The model of one watched program. A new session resets it: sessions are never mixed."""

    def apply(self, frame: frames.Frame) -> None:
        """Apply a frame: the only way in which the store changes. Frames must come in the order of the stream."""
        match frame:
            case frames.Tick():
                self._apply_tick(frame)
            case frames.Static():
                self._apply_static(frame)
            case frames.Event():
                self._apply_event(frame)
            case frames.Reply():
                for detail in frame.details:
                    self.add_detail(detail)
                self.memory.apply_reply(frame, self.tables)
            case frames.HistoryRows():
                self._apply_history(frame)
            case frames.Hello():
                self.begin(frame)
            case keyframes.Keyframe():
                self.flame = FlameSamples()  # keyframes hold no samples: they count from where a recording is entered
                from monitor.store import keyframe  # only recordings have any

                keyframe.restore(self, frame)
            case _:
                return
        self.revision += 1

    # Reading

    @property
    def read_only(self) -> bool:
        """Whether the program is read from outside, without times."""
        return self.session is not None and self.session.read_only

    @property
    def roots(self) -> tuple[str, ...]:
        """Folders by which displayed paths are shortened."""
        return tuple(self.session.paths.get("path", ())) if self.session is not None else ()

    @property
    def last_seq(self) -> int:
        """Number of the newest event; 0 before the first one."""
        return self.last_event or 0

    def frozen(self) -> Store:
        """Return a frozen copy for a paused view."""
        twin = Store()
        self.copy_to(twin)
        return twin

    def take_answer(self, frame: frames.Frame, live: Store) -> None:
        """Apply a reply to a frozen copy that was requested after the copy was made. `live` has applied it already."""
        match frame:
            case frames.Reply():
                self.memory.apply_reply(frame, self.tables)
                answered = [detail.id for detail in frame.details]
            case frames.Tick(detail=frames.Detail() as detail):
                answered = [detail.id]
            case _:
                return
        new = {
            number: live.details[number] for number in answered if number not in self.details and number in live.details
        }
        self.details.update(new)
        if new or isinstance(frame, frames.Reply):
            self.revision += 1

    def keyframe(self, *, history: bool = False) -> keyframes.Keyframe:
        """Return everything as one frame; a store that applies it equals this one."""
        from monitor.store import keyframe

        return keyframe.encode(self, history)

    @property
    def lacks_tasks(self) -> bool:
        """Whether many tasks of the program are not known: they are to come, or a black box had no room for them."""
        return len(self.tasks) < NEARLY_ALL * self.probe.tasks

    def steps_per_s(self) -> float | None:
        """Steps per second of all loops together."""
        rates = [loop.steps_per_s for loop in self.loops.values() if loop.steps_per_s is not None]
        return sum(rates) if rates else None

    def measure_sites(self) -> None:
        """Compute births and deaths per second of each site over at least one second. Call once before reading them."""
        for stats in self.sites.values():
            rates.measure_site(stats, self.now)

    def note(self, text: str) -> None:
        """Add a notice from the viewer itself, such as a broken connection."""
        self.notices.append(Notice(self.now, text))
        self.revision += 1

    # Applying frames

    def _apply_history(self, frame: frames.HistoryRows) -> None:
        """Keep the history. The first of a loop also fills its sparklines, which are still nearly empty."""
        self.past.apply(frame)
        loop, figures = self.loops.get(frame.loop), self.past.of(frame.loop, FINE)
        if loop is None or figures is None or len(loop.lags.values) > FEW:
            return
        loop.lags.prepend(past.lags(figures))
        loop.utilizations.prepend(past.utilizations(figures))

    def _apply_static(self, static: frames.Static) -> None:
        self.tables.add(static.strings, static.sites)
        for facts in static.loops:
            loop = self.loops.get(facts.id)
            if loop is None:
                self.loops[facts.id] = Loop(facts.id, facts.kind, facts.thread, facts.name)
                if len(self.loops) > MOST_LOOPS:
                    oldest = next((one for one in self.loops if one not in self.ticking), facts.id)
                    del self.loops[oldest]
            else:
                loop.kind, loop.thread, loop.name = facts.kind, facts.thread, facts.name
        whole = not self.tasks.left_out
        for row in static.tasks:
            self.tasks.apply_facts(row, self.tables, self.now)
        if whole and self.tasks.left_out:
            self.note(f"there are too many tasks: {len(self.tasks)} are kept")

    def _apply_tick(self, tick: frames.Tick) -> None:
        before, self.now_us = self.now_us, max(tick.at, self.now_us)
        self.now = self.now_us * SECOND
        elapsed = 0.0
        if tick.loops:
            # A tick without loops is partial; rates are computed between complete ones.
            before, self.whole_us = self.whole_us or before, self.now_us
            elapsed = (self.now_us - before) * SECOND
        self.left = tick.left
        for row in tick.tasks:
            if row.state >= protocol.ENDED:
                self.tasks.end(row)
                self.details.pop(row.id, None)
            elif row.state >= 0:
                self.tasks.apply_row(row, self.now, self.tables)
        if tick.loops:
            self.ticking = frozenset(row.id for row in tick.loops)
            self.tasks.measure(self.now)
        for task_id in tick.gone:
            self.forget(task_id)
        for loop_row in tick.loops:
            loop = self.loops.get(loop_row.id)
            if loop is not None:
                rates.apply_loop_row(loop, loop_row, self.now, elapsed)
                loop.block = None
        for blocked_row in tick.blocked:
            loop = self.loops.get(blocked_row.loop)
            if loop is not None:
                loop.block = convert.BLOCK.decode(blocked_row, self.tables)
        for site_row in tick.sites:
            self._apply_site_row(site_row)
        for wait_row in tick.waits:
            self.tasks.apply_wait(wait_row, self.tables)
        self._apply_looks(tick)
        if tick.loops:
            self.steps.add(self.steps_per_s() or 0.0)
            self.task_counts.add(float(len(self.tasks)))

    def _apply_looks(self, tick: frames.Tick) -> None:
        """Apply the parts that arrive only occasionally."""
        if tick.detail is not None:
            self.add_detail(tick.detail)
        if tick.sync_scan is not None:
            self.add_scan(self.now_us, tick.sync_scan)
        if tick.flame is not None:
            self.flame.apply(tick.flame, self.now, self.tables)
        if tick.groups is not None:
            self.label_groups.apply(tick.groups, self.tables, self.now)
        if tick.threads is not None:
            self.add_threads(tick.threads)
        if tick.memory is not None:
            self.memory.apply_tick(tick.memory)
        if tick.process is not None:
            self.process = rates.process_after(self.process, tick.process, self.now, self.tables)
        if tick.probe is not None:
            if self.probe.cpu_total is not None:  # the first covers time before this viewer came
                self.ended_total += max(tick.probe.unnamed - self.probe.unnamed, 0)
            self.probe = rates.probe_after(self.probe, tick.probe, self.now, self.tables)

    def _apply_site_row(self, row: SiteRow) -> None:
        if not 0 <= row.site < len(self.tables.sites):
            return
        stats = self.sites.get(row.site)
        if stats is None:
            stats = self.sites[row.site] = SiteStats(
                self.tables.sites[row.site], measured=self.now, measured_born=row.born, measured_ended=row.ended
            )
        rates.apply_site_row(stats, row)

    def _apply_event(self, event: frames.Event) -> None:
        if self.last_event is not None:
            if event.seq <= self.last_event:
                return
            if event.at >= self.heard_from:
                self.missed_events += max(event.seq - self.last_event - 1 - event.skipped, 0)
        self.last_event = event.seq
        self.add_event(event)
