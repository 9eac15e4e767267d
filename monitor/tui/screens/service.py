"""The Service screen: all workers of a service, and what is in all of them. Enter goes into one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from textual.widgets import Input

from monitor import formatting as fmt
from monitor.errors import UsageError
from monitor.fleet.rows import total
from monitor.fleet.service import Service
from monitor.tui.base.keys import SORTING, bindings, hints
from monitor.tui.base.paint import Part
from monitor.tui.rows.service import (
    EndedOfAll,
    FindingsOfAll,
    GroupsOfAll,
    SlowOfAll,
    TasksOfAll,
    ThreadsOfAll,
    WorkerRows,
    worker_and_words,
)
from monitor.tui.screens.group_of_all import GroupOfAllScreen
from monitor.tui.screens.tabbed import Host, TabbedScreen
from monitor.tui.widgets.flame_panel import FlamePanel
from monitor.tui.widgets.timeline import Timeline
from monitor.tui.widgets.timeline import lines as timeline_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.app import ComposeResult
    from textual.widget import Widget

    from monitor.fleet.service import MergedFlame
    from monitor.store.flame import Stacks
    from monitor.tui.base.keys import Key
    from monitor.tui.base.paint import Line
    from monitor.tui.controllers.playback import Playback
    from monitor.tui.widgets.live_table import LiveTable
    from monitor.tui.widgets.source_view import Sources

ARRANGE_EVERY = 1.0
HOLD_AFTER_MOVE = 2.0
FLAME = "flame"
FLAME_HZ = 50
"""Samples per second of each worker; there are many of them."""
THREADS_EVERY = 1
"""Seconds between two looks at the threads of each worker."""
VIEWS = (
    ("service", "Service"),
    ("tasks", "Tasks"),
    ("slow", "Slow"),
    ("ended", "Ended"),
    ("findings", "Findings"),
    ("groups", "Groups"),
    (FLAME, "Flame"),
    ("threads", "Threads"),
)
EMPTY = {
    "service": "No worker is there.\nOne that starts is joined within a second.",
    "tasks": "No tasks.",
    "slow": "No slow callback so far.",
    "ended": "No task has ended so far.",
    "findings": "No known problem pattern detected.",
    "groups": "No groups: they take the hooks in C.",
    "threads": "No look at the threads yet.",
}


class Watcher(Host, Protocol):
    """The app of the Service screen."""

    service: Service
    clock: Callable[[], float]
    player: Playback | None
    sources: Sources

    def choose(self, slot: int) -> None:
        """Open the dashboard of a worker."""

    def say(self, text: str, style: str) -> None:
        """Show a message above the table."""


@dataclass(frozen=True, slots=True)
class _ProfileOfAll:
    """The samples of all workers, or of one."""

    flame: MergedFlame
    of: object  # the worker that the filter names
    sources: Sources
    recorded: bool

    @property
    def identity(self) -> object:
        return self.of

    @property
    def revision(self) -> object:
        return self.flame.revision

    def samples(self, kind: str) -> int:
        return self.flame.samples(kind)

    @property
    def idle(self) -> float:
        return self.flame.idle

    @property
    def roots(self) -> tuple[str, ...]:
        return next((store.roots for store in self.flame.stores), ())

    def stacks(self, kind: str) -> Stacks:
        return self.flame.stacks(kind)

    def has(self, kind: str) -> bool:
        return any(len(store.flame.of(kind)) for store in self.flame.stores)

    def name_of(self, task: int) -> str | None:  # noqa: ARG002 - rows are not tasks
        return None

    def why_empty(self, kind: str) -> str:
        if self.flame.why_not and kind != "waiting":
            return f"No samples: {self.flame.why_not}."
        if self.recorded:
            return "No samples in this part of the recording (record --flame)."
        return "No jobs in threads of executors seen yet." if kind == "jobs" else "No samples yet."

    def around(self, file: str, line: int) -> list[Line]:
        return self.sources.around(file, line, 2, 2)


class ServiceScreen(TabbedScreen):
    """A table of workers with a total below, and what is in all of them: six tables and a flame graph."""

    SCOPES: ClassVar[tuple[str, ...]] = ("service", "table")
    BINDINGS: ClassVar[list[Any]] = bindings("service", "player")
    FILTER_HELP: ClassVar[str] = "words, worker:3; for tasks also state:waiting busy>0.5"
    BELOW: ClassVar[str] = "total"
    DEFAULT_CSS = "ServiceScreen .-away { display: none; }"

    def __init__(self, service: Service, slot: int | None = None) -> None:
        """`slot`: the worker to select."""
        self.figures = WorkerRows(service)
        lists = {
            "service": self.figures,
            "tasks": TasksOfAll(service),
            "slow": SlowOfAll(service),
            "ended": EndedOfAll(service),
            "findings": FindingsOfAll(service),
            "groups": GroupsOfAll(service),
            "threads": ThreadsOfAll(service),
        }
        super().__init__(lists, "service")
        self.flame = FlamePanel(
            ("group", "process", "coroutine", "site", "all"), lambda text: self.watcher.say(text, "accent")
        )
        self._flame_of: int | None = None  # the worker that the filter names
        self._asked: dict[str, object] = {}
        self._wanted = slot
        self._whole: dict[str, Any] = {}
        self._arranged_at = self._moved_at = float("-inf")

    @property
    def watcher(self) -> Watcher:
        """The app, as far as the screen knows it."""
        return cast("Watcher", self.app)

    @property
    def rows(self) -> Any:
        """The rows of the selected tab; those of the workers while the flame graph is shown."""
        return self.figures if self.chosen == FLAME else self.lists[self.chosen]

    @property
    def shows_flame(self) -> bool:
        """Whether the flame graph is shown rather than a table."""
        return self.chosen == FLAME

    def compose_beside(self) -> ComposeResult:
        """The flame graph, which takes the place of the table."""
        yield self.flame.add_class("-away")

    def compose_below(self) -> ComposeResult:
        """The timeline of a recording."""
        if self.watcher.player is not None:
            yield Timeline(self.watcher.palette, id="timeline")

    def update_table(self, again: bool) -> None:
        """Repaint the table, or the flame graph; sort when it is time to, or `again`."""
        now = self.watcher.clock()
        self._whole = total(self.figures.refresh())
        if self.watcher.player is not None:
            self.set_class(True, "-plays")
            self.query_one(Timeline).show(timeline_lines(self.watcher.player.state, self.size.width))
        self._ask(self.chosen)
        if self.shows_flame:
            service = self.watcher.service
            profile = service.flame(self._flame_of)
            self.flame.update(
                _ProfileOfAll(profile, self._flame_of, self.watcher.sources, self.watcher.player is not None), now
            )
        else:
            self._update_rows(now, again)

    def _update_rows(self, now: float, again: bool) -> None:
        table = self.table
        calm = now - self._arranged_at >= ARRANGE_EVERY and now - self._moved_at >= HOLD_AFTER_MOVE
        if again or calm or not len(self.rows):
            self._arranged_at = now
            self.rows.arrange(self.rows.store)
            table.empty = "No row matches.\nEsc clears the filter." if self.filter_bar.text else EMPTY[self.chosen]
            table.rows_moved()
            if self._wanted is not None and len(self.rows):
                table.go_to(self._wanted)
                self._wanted = None
        else:
            table.sync()

    def on_unmount(self) -> None:
        """Ask for nothing more: the workers stay connected while the dashboard of one is shown."""
        self._ask("")

    def _ask(self, shown: str) -> None:
        """Ask the workers for what is shown, and no longer for what is not."""
        kind = self.flame.kind if shown == FLAME else ""
        wanted: dict[str, object] = {
            "flame": FLAME_HZ if kind in ("on_loop", "jobs") else 0,
            "flame_wait": kind == "waiting",
            "flame_jobs": kind == "jobs",
            "threads": THREADS_EVERY if shown == "threads" else 0,
            "gil": shown == "threads",
        }
        if wanted != self._asked and (self._asked or any(wanted.values())):
            self.watcher.service.watch(**wanted)
            self._asked = wanted

    def title_parts(self) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """Return the name and size of the service, and whether all workers answer."""
        workers, entering = self._whole["workers"], self._whole["entering"]
        silent = workers - self._whole["answering"] - entering
        number = fmt.several(workers, "worker")
        right: tuple[Part, ...] = ()
        if self.watcher.player is not None:
            began = self.watcher.player.state.start
            right = ((f"▸ recording of {time.strftime('%d %b %Y %H:%M', time.localtime(began))} ", "accent"),)
        elif workers:
            right = ((f"{entering} entering … ", "accent"),) if entering else ()
            right += ((f"{silent} not answering ", "bad"),) if silent else ()
            right = right or (("● all answer ", "good"),)
        return ((f" {self.watcher.service.title}", "heading"), (f"  {number}", "text")), right

    def below(self, cells: int) -> list[tuple[Part, ...]]:
        """Return the line with the total of all workers."""
        return [_total(self._whole, cells)]

    def tabs(self) -> Iterable[tuple[str, str]]:
        """Return the workers and what is in all of them."""
        return VIEWS

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes whose keys apply now."""
        player = ("player",) if self.watcher.player is not None else ()
        return ("service", FLAME if self.shows_flame else "table", *player)

    def hint_keys(self) -> Iterable[Key]:
        """The keys of what is shown."""
        recorded = self.watcher.player is not None
        return (
            key
            for key in hints(*self.scopes)
            if (recorded or key.id != "service_play") and not (recorded and key.id in SORTING)
        )

    def label(self, key: Key) -> str:
        """What a key of the footer does now."""
        if key.id == "service_play" and self.watcher.player is not None and not self.watcher.player.playing:
            return "Play "
        return self.flame.label(key.id) or key.label

    def main_widget(self) -> Widget:
        """What gets the keys: the table, or the frames."""
        return self.flame.icicle if self.shows_flame else self.table

    # What the person does

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's
        """Enables the keys of the player only in a recording, and not while typing."""
        return action != "player" or (self.watcher.player is not None and not isinstance(self.focused, Input))

    def action_player(self, verb: str, amount: float) -> None:
        """Runs a key of the player."""
        if self.watcher.player is not None:
            self.watcher.player.do(verb, amount)

    def on_timeline_sought(self, message: Timeline.Sought) -> None:
        """Seeks to a clicked position."""
        if self.watcher.player is not None:
            self.watcher.player.seek_share(message.share)

    def forget_order(self) -> None:
        """Sort at the next repaint, since another moment has other rows."""
        self._arranged_at = self._moved_at = float("-inf")
        self.flame.forget()

    def action_show_tab(self, key: str) -> None:
        """Show another table, or the flame graph, and clear the filter."""
        if key == self.chosen:
            return
        self.clear_filter()
        self.chosen = key
        self.table.set_class(self.shows_flame, "-away")
        self.flame.set_class(not self.shows_flame, "-away")
        if not self.shows_flame:
            self.table.show(self.rows)
        self.main_widget().focus()
        self.call_after_refresh(self.update_view, True)

    def action_sideways(self, step: int) -> None:
        """Sort by the next or previous column."""
        self.table.action_sort_by(step)

    def action_back(self) -> None:
        """Clear the filter and the message, zoom out, or go back to the table of workers."""
        filtered = bool(self.filter_bar.text) or self.filter_bar.has_class("-shown")
        self.watcher.message = None
        if self.shows_flame and not filtered and self.flame.icicle.zoom_out():
            return
        if not filtered and self.chosen != "service":
            self.action_show_tab("service")
            return
        self.clear_filter()
        self.main_widget().focus()
        self.update_view(again=True)

    def filter_rows(self, text: str) -> None:
        """Filter the rows; while a filter is half typed, say what it lacks."""
        if self.shows_flame:
            before = self._flame_of
            self._flame_of, words = worker_and_words(text)
            if self._flame_of != before:
                self.update_view()  # what is in sight then is counted
            found = self.flame.icicle.search(" ".join(words))
            self.filter_bar.say(f"{fmt.several(found, 'frame')} in sight" if words else "")
            return
        try:
            self.rows.filter(text)
        except UsageError as error:
            self.filter_bar.say("", error.message)
        else:
            self.filter_bar.say("", "")

    def on_icicle_moved(self) -> None:
        """The source follows the cursor."""
        self.flame.update_source()

    def action_flame_kind(self) -> None:
        """What loops run, what tasks wait for, or what jobs of executors do."""
        self.flame.next_kind()
        self.update_view()

    def action_flame_by(self) -> None:
        """Below their groups, workers, coroutines or creation sites, or all together."""
        self.flame.next_way()
        self.update_view()

    def action_flame_baseline(self) -> None:
        """Take the samples so far as the baseline."""
        self.flame.take_baseline()
        self.update_view()

    def action_flame_difference(self) -> None:
        """Since the baseline against before it."""
        self.flame.toggle_difference()
        self.update_view()

    def on_live_table_sort_wanted(self, message: LiveTable.SortWanted) -> None:
        """Sort by another column, or reverse the order."""
        self.rows.sort_by(message.column, message.turn)
        self.update_view(again=True)

    def on_live_table_cursor_moved(self) -> None:
        """Hold the order for a while, so that rows do not move under the cursor."""
        self._moved_at = self.watcher.clock()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Go into the worker of the row; of a group, open its page."""
        place = self.rows.index(message.key)
        if place is None:
            return
        if isinstance(self.rows, GroupsOfAll):
            group = self.rows.rows[place].row
            self.app.push_screen(GroupOfAllScreen(group.coro, group.label, self.rows.worker))
        else:
            self.watcher.choose(self.rows.slot(place))


def _total(whole: dict[str, Any], cells: int) -> tuple[Part, ...]:
    """The totals that fit as a whole, the most important first."""
    figures = (
        ("lag", fmt.duration(whole["lag"])),
        ("req", f"{fmt.rate(whole['requests_per_s'])}/s"),
        ("errors", fmt.count(whole["errors"])),
        ("tasks", fmt.count(whole["tasks"])),
        ("rss", fmt.size(whole["rss"])),
        ("cpu", fmt.percent(whole["cpu"])),
        ("steps", f"{fmt.rate(whole['steps_per_s'])}/s"),
        ("failed", fmt.count(whole["failed"])),
    )
    parts: list[Part] = [(" Total", "strong")]
    left = cells - len(" Total")
    for title, text in figures:
        left -= len(title) + len(text) + 3
        if left < 0:
            break
        parts += [(f"  {title} ", "dim"), (text, "text")]
    return tuple(parts)
