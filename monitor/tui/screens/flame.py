"""Where the time of the loop goes below a step, where tasks wait, what jobs do: a flame graph from the top down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor import formatting as fmt
from monitor.flame.tree import Node, build, difference
from monitor.tui.base.keys import bindings
from monitor.tui.screens.base import LiveScreen
from monitor.tui.widgets.filter_bar import FilterBar, FilterInput
from monitor.tui.widgets.icicle import Icicle
from monitor.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from monitor.store.flame import Row, Stacks
    from monitor.tui.base.paint import Part

HZ = 100
EVERY = 1.0
"""Seconds between two arrangements: a profile that moves all the time cannot be read."""
SOURCE = 6
ROOMY = 18
KINDS = {"on_loop": "On the loop", "waiting": "Waiting", "jobs": "Jobs of executors"}
_NEXT = {"on_loop": "Waiting", "waiting": "Jobs", "jobs": "On loop"}
_BY = {"group": "Groups", "coroutine": "Coroutines", "site": "Sites", "task": "Tasks", "all": "All"}


class FlameScreen(LiveScreen):
    """What loops run, or what tasks wait for; since the screen was opened, or since a baseline."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "flame")
    BINDINGS: ClassVar[list[Any]] = bindings("views", "player")

    def __init__(self) -> None:
        super().__init__()
        self.kind = "on_loop"
        self.by = "group"
        self.baseline: dict[str, Stacks] = {}  # by kind
        self.compared = False
        self._shown: tuple[object, ...] = ()
        self._arranged_at = float("-inf")

    def compose_body(self) -> ComposeResult:
        """What is shown, the frames, and the source of the one under the cursor."""
        facts, source = Lines(self.looptop.palette, id="facts"), Lines(self.looptop.palette, id="source")
        facts.styles.height = 1
        yield facts
        yield Icicle(self.looptop.palette, id="icicle")
        source.styles.height = SOURCE
        yield source
        yield FilterBar("a function or a file")

    def on_mount(self) -> None:
        """The keys go to the frames."""
        self.icicle.focus()

    @property
    def icicle(self) -> Icicle:
        """The widget that draws the frames."""
        return self.query_one("#icicle", Icicle)

    @property
    def filter_bar(self) -> FilterBar:
        """What is searched for."""
        return self.query_one(FilterBar)

    def wants(self) -> dict[str, Any]:
        """Samples of the kind that is shown."""
        waits = self.kind == "waiting"
        found: dict[str, Any] = {"window": [], "detail": None, "flame": 0 if waits else HZ, "flame_wait": waits}
        return found | {"flame_jobs": self.kind == "jobs", "flame_tasks": waits and self.by == "task"}

    def _stacks(self) -> Stacks:
        return self.store.flame.of(self.kind)

    def update_body(self) -> None:
        """Takes new samples in once a second."""
        stacks, now = self._stacks(), self.looptop.clock()
        question = (self.kind, self.by, self.compared, id(self.store))
        if self._shown[:4] != question or (self._shown[4:] != (stacks.revision,) and now - self._arranged_at >= EVERY):
            self._shown, self._arranged_at = (*question, stacks.revision), now
            self.icicle.show(self._tree(stacks), compared=self.compared)
        self._update_facts(stacks)
        self._update_source()

    def _tree(self, stacks: Stacks) -> Node:
        base = self.baseline.get(self.kind)
        since = stacks if base is None else stacks.since(base)
        if self.compared and base is not None:
            return difference(self._rows(base), self._rows(since))
        return build(self._rows(since))

    def _rows(self, stacks: Stacks) -> list[Row]:
        return stacks.by(self.by, self._name_of)

    def _name_of(self, task: int) -> str | None:
        known = self.store.tasks.get(task)
        return None if known is None else known.name

    def _update_facts(self, stacks: Stacks) -> None:
        flame = self.store.flame
        parts: list[Part] = [(f" {KINDS[self.kind]}", "strong"), (f" by {self.by}" if self.by != "all" else "", "text")]
        if self.compared:
            parts.append(("  since the baseline against before: + more, − less", "accent"))
        elif self.kind in self.baseline:
            parts.append(("  since the baseline", "accent"))
        parts.append((f"  {fmt.duration(self.icicle.root.seconds)}", "text"))
        if self.kind != "waiting":
            parts.append((f"  {flame.samples:,} samples, idle {fmt.duration(flame.idle)}", "dim"))
        if not len(stacks):
            parts = [(f" {self._why_empty()}", "dim")]
        self.query_one("#facts", Lines).show([tuple(parts)])

    def _why_empty(self) -> str:
        if self.store.read_only:
            return "Not known: this program is read from outside."
        if self.store.flame.why_not and self.kind != "waiting":
            return f"No samples: {self.store.flame.why_not}. looptop flame shows the stacks of slow callbacks."
        if self.looptop.player is not None:
            return "No samples in this part of the recording (record --flame)."
        return "No jobs in threads of executors seen yet." if self.kind == "jobs" else "No samples yet."

    def _update_source(self) -> None:
        box, node = self.query_one("#source", Lines), self.icicle.chosen
        roomy = self.size.height >= ROOMY
        box.styles.height = SOURCE if roomy else 1
        share = node.seconds / self.icicle.root.seconds if self.icicle.root.seconds else 0.0
        name = node.name if node.site is None else node.site.function
        head: list[Part] = [(f" {name}", "strong"), (f"  {100 * share:.1f}%", "text")]
        head.append((f"  {fmt.duration(node.seconds)}, itself {fmt.duration(node.own)}", "dim"))
        if self.compared and self.icicle.root.seconds:
            change = (node.seconds - node.before) / self.icicle.root.seconds
            head.append((f"  {self.icicle.sign(node)}{abs(100 * change):.1f} points", "accent"))
        lines: list[tuple[Part, ...]] = []
        if node.site is not None:
            head.append((f"  {fmt.place(node.site.file, node.line, None, self.store.roots)}", "dim"))
            if roomy and node.line:
                lines = [one.parts for one in self.looptop.sources.around(node.site.file, node.line, 2, 2)]
        box.show([tuple(head), *lines])

    def hint_scopes(self) -> tuple[str, ...]:
        """While a text is typed its own keys."""
        return ("filter",) if isinstance(self.focused, FilterInput) else self.scopes

    def label(self, key_id: str, label: str) -> str:
        """What the keys do now."""
        if key_id == "flame_kind":
            return _NEXT[self.kind]
        if key_id == "flame_by":
            return _BY[self._next_by()]
        return super().label(key_id, label)

    # What the person does

    def on_icicle_moved(self) -> None:
        """The source follows the cursor."""
        self._update_source()

    def action_flame_kind(self) -> None:
        """What loops run, what tasks wait for, or what jobs of executors do."""
        kinds = list(KINDS)
        self.kind = kinds[(kinds.index(self.kind) + 1) % len(kinds)]
        self.compared = self.compared and self.kind in self.baseline
        self.looptop.tick_soon()
        self.update_view()

    def action_flame_by(self) -> None:
        """Below their groups, coroutines, creation sites or tasks, or all together."""
        self.by = self._next_by()
        self.looptop.tick_soon()
        self.update_view()

    def _next_by(self) -> str:
        ways = list(_BY)
        return ways[(ways.index(self.by) + 1) % len(ways)]

    def action_flame_baseline(self) -> None:
        """Take the samples so far as the baseline."""
        self.baseline[self.kind] = self._stacks().copy()
        self._shown = ()
        self.looptop.say("baseline taken: what is shown is since now; x compares with what was before")
        self.update_view()

    def action_flame_difference(self) -> None:
        """Since the baseline against before it."""
        if self.kind not in self.baseline:
            self.looptop.say("take a baseline first: b")
            return
        self.compared = not self.compared
        self.update_view()

    def action_filter(self) -> None:
        """Open the search bar."""
        self.filter_bar.open()

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Marks what is found as one types."""
        found = self.icicle.search(message.text)
        self.filter_bar.say(f"{found} frames in sight" if message.text else "")

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Back to the frames."""
        if not message.keep or not self.filter_bar.text:
            self._clear_search()
        self.icicle.focus()

    def _clear_search(self) -> None:
        self.filter_bar.clear()
        self.icicle.search("")

    def action_back(self) -> None:
        """First the search goes, then the zoom, then the screen."""
        if self.filter_bar.has_class("-shown"):
            self._clear_search()
            self.icicle.focus()
        elif not self.icicle.zoom_out():
            super().action_back()
