"""Where the time of the loop goes below a step, where tasks wait, what jobs do: a flame graph from the top down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from monitor import formatting as fmt
from monitor.tui.base.keys import bindings
from monitor.tui.screens.base import LiveScreen
from monitor.tui.widgets.filter_bar import FilterBar, FilterInput
from monitor.tui.widgets.flame_panel import WAYS, FlamePanel

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from monitor.store.flame import Stacks
    from monitor.store.store import Store
    from monitor.tui.base.paint import Line
    from monitor.tui.screens.dashboard import ScreensDashboard

HZ = 100


@dataclass(frozen=True, slots=True)
class _ProfileOfStore:
    """The samples that a store has."""

    store: Store
    looptop: ScreensDashboard

    @property
    def identity(self) -> object:
        return id(self.store)

    @property
    def revision(self) -> object:
        flame = self.store.flame
        return flame.on_loop.revision, flame.waiting.revision, flame.jobs.revision

    def samples(self, kind: str) -> int:
        return self.store.flame.samples.get(kind, 0)

    @property
    def idle(self) -> float:
        return self.store.flame.idle

    @property
    def roots(self) -> tuple[str, ...]:
        return self.store.roots

    def stacks(self, kind: str) -> Stacks:
        return self.store.flame.of(kind)

    def has(self, kind: str) -> bool:
        return len(self.stacks(kind)) > 0

    def name_of(self, task: int) -> str | None:
        known = self.store.tasks.get(task)
        return None if known is None else known.name

    def why_empty(self, kind: str) -> str:
        if self.store.read_only:
            return "Not known: this program is read from outside."
        if self.store.flame.why_not and kind != "waiting":
            return f"No samples: {self.store.flame.why_not}. looptop flame shows the stacks of slow callbacks."
        if self.looptop.player is not None:
            return "No samples in this part of the recording (record --flame)."
        return "No jobs in threads of executors seen yet." if kind == "jobs" else "No samples yet."

    def around(self, file: str, line: int) -> list[Line]:
        return self.looptop.sources.around(file, line, 2, 2)


class FlameScreen(LiveScreen):
    """What loops run, or what tasks wait for; since the screen was opened, or since a baseline."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "flame")
    BINDINGS: ClassVar[list[Any]] = bindings("views", "player")

    def __init__(self) -> None:
        super().__init__()
        self.panel = FlamePanel(tuple(way for way in WAYS if way != "process"), lambda text: self.looptop.say(text))

    def compose_body(self) -> ComposeResult:
        """The panel, and what is searched for."""
        yield self.panel
        yield FilterBar("a function or a file")

    def on_mount(self) -> None:
        """The keys go to the frames."""
        self.panel.icicle.focus()

    @property
    def filter_bar(self) -> FilterBar:
        """What is searched for."""
        return self.query_one(FilterBar)

    def wants(self) -> dict[str, Any]:
        """Samples of the kind that is shown."""
        kind = self.panel.kind
        waits = kind == "waiting"
        found: dict[str, Any] = {"window": [], "detail": None, "flame": 0 if waits else HZ, "flame_wait": waits}
        return found | {"flame_jobs": kind == "jobs", "flame_tasks": waits and self.panel.by == "task"}

    def update_body(self) -> None:
        """Takes new samples in once a second."""
        self.panel.update(_ProfileOfStore(self.store, self.looptop), self.looptop.clock())

    def hint_scopes(self) -> tuple[str, ...]:
        """While a text is typed its own keys."""
        return ("filter",) if isinstance(self.focused, FilterInput) else self.scopes

    def label(self, key_id: str, label: str) -> str:
        """What the keys do now."""
        return self.panel.label(key_id) or super().label(key_id, label)

    # What the person does

    def on_icicle_moved(self) -> None:
        """The source follows the cursor."""
        self.panel.update_source()

    def action_flame_kind(self) -> None:
        """What loops run, what tasks wait for, or what jobs of executors do."""
        self.panel.next_kind()
        self.looptop.tick_soon()
        self.update_view()

    def action_flame_by(self) -> None:
        """Below their groups, coroutines, creation sites or tasks, or all together."""
        self.panel.next_way()
        self.looptop.tick_soon()
        self.update_view()

    def action_flame_baseline(self) -> None:
        """Take the samples so far as the baseline."""
        self.panel.take_baseline()
        self.update_view()

    def action_flame_difference(self) -> None:
        """Since the baseline against before it."""
        self.panel.toggle_difference()
        self.update_view()

    def action_filter(self) -> None:
        """Open the search bar."""
        self.filter_bar.open()

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Marks what is found as one types."""
        found = self.panel.icicle.search(message.text)
        self.filter_bar.say(f"{fmt.several(found, 'frame')} in sight" if message.text else "")

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Back to the frames."""
        if not message.keep or not self.filter_bar.text:
            self._clear_search()
        self.panel.icicle.focus()

    def _clear_search(self) -> None:
        self.filter_bar.clear()
        self.panel.icicle.search("")

    def action_back(self) -> None:
        """First the search goes, then the zoom, then the screen."""
        if self.filter_bar.has_class("-shown"):
            self._clear_search()
            self.panel.icicle.focus()
        elif not self.panel.icicle.zoom_out():
            super().action_back()
