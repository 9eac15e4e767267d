"""A flame graph with the line above it and the source of its chosen frame below; what it draws comes from a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from textual.containers import Vertical

from monitor import formatting as fmt
from monitor.flame.tree import Node, build, difference
from monitor.tui.widgets.icicle import Icicle
from monitor.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from monitor.store.flame import Row, Stacks
    from monitor.tui.base.paint import Line, Part
    from monitor.tui.base.theme import Palette

EVERY = 1.0
"""Seconds between two arrangements: a profile that moves all the time cannot be read."""
SOURCE = 6
ROOMY = 18
KINDS = {"on_loop": "On the loop", "waiting": "Waiting", "jobs": "Jobs of executors"}
WAYS = {
    "group": "Groups",
    "coroutine": "Coroutines",
    "site": "Sites",
    "task": "Tasks",
    "process": "Workers",
    "all": "All",
}
"""What stacks can stand under, as the footer calls it."""
_NEXT = {"on_loop": "Waiting", "waiting": "Jobs", "jobs": "On loop"}


class Profiled(Protocol):
    """What is drawn, and what is written above it."""

    @property
    def identity(self) -> object:
        """Another one if the graph has to be drawn anew at once."""

    @property
    def revision(self) -> object:
        """Another one if there are new samples."""

    def samples(self, kind: str) -> int:
        """The number of samples that found a stack of a kind."""

    @property
    def idle(self) -> float:
        """Seconds in which loops ran no callback."""

    @property
    def roots(self) -> tuple[str, ...]:
        """Folders by which paths are shortened."""

    def stacks(self, kind: str) -> Stacks:
        """The stacks of a kind."""

    def has(self, kind: str) -> bool:
        """Whether there are stacks of a kind."""

    def name_of(self, task: int) -> str | None:
        """The name of a task, if known."""

    def why_empty(self, kind: str) -> str:
        """Why there are no stacks of a kind."""

    def around(self, file: str, line: int) -> list[Line]:
        """The lines of the source around one."""


class FlamePanel(Vertical):
    """Its owner calls `update` after every tick, and the methods below for the keys."""

    DEFAULT_CSS = "FlamePanel { height: 1fr; width: 100%; }"

    def __init__(self, ways: tuple[str, ...], say: Callable[[str], None]) -> None:
        """`ways`: what the stacks can stand under; `say` shows a short message."""
        super().__init__(id="flame")
        self.kind = "on_loop"
        self.by = ways[0]
        self.baseline: dict[str, Stacks] = {}  # by kind
        self.compared = False
        self._ways = ways
        self._say = say
        self._profile: Profiled | None = None
        self._shown: tuple[object, ...] = ()
        self._shown_revision: object = None
        self._arranged_at = float("-inf")

    def compose(self) -> ComposeResult:
        """What is shown, the frames, and the source of the one under the cursor."""
        palette = cast("Palette", self.app.palette)  # type: ignore[attr-defined]  # of the base of both apps
        facts, source = Lines(palette, id="facts"), Lines(palette, id="source")
        facts.styles.height = 1
        source.styles.height = SOURCE
        yield facts
        yield Icicle(palette, id="icicle")
        yield source

    @property
    def icicle(self) -> Icicle:
        """The widget that draws the frames."""
        return self.query_one("#icicle", Icicle)

    # Called by the owner

    def update(self, profile: Profiled, now: float) -> None:
        """Take new samples in once a second; repaint what changed."""
        self._profile = profile
        question = (self.kind, self.by, self.compared, profile.identity)
        due = self._shown_revision != profile.revision and now - self._arranged_at >= EVERY
        if self._shown != question or due:
            self._shown, self._shown_revision, self._arranged_at = question, profile.revision, now
            self.icicle.show(self._tree(profile), compared=self.compared)
        self._update_facts(profile)
        self.update_source()

    def update_source(self) -> None:
        """Show the source of the chosen frame."""
        profile = self._profile
        if profile is None:
            return
        box, node = self.query_one("#source", Lines), self.icicle.chosen
        roomy = self.screen.size.height >= ROOMY
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
            head.append((f"  {fmt.place(node.site.file, node.line, None, profile.roots)}", "dim"))
            if roomy and node.line:
                lines = [one.parts for one in profile.around(node.site.file, node.line)]
        box.show([tuple(head), *lines])

    def label(self, key_id: str) -> str | None:
        """What a key of the footer does now; None for one that always does the same."""
        if key_id == "flame_kind":
            return _NEXT[self.kind]
        if key_id == "flame_by":
            return WAYS[self._next_by()]
        return None

    def next_kind(self) -> None:
        """What loops run, what tasks wait for, or what jobs of executors do."""
        kinds = list(KINDS)
        self.kind = kinds[(kinds.index(self.kind) + 1) % len(kinds)]
        self.compared = self.compared and self.kind in self.baseline

    def next_way(self) -> None:
        """Put the stacks under something else."""
        self.by = self._next_by()

    def take_baseline(self) -> None:
        """Count from here on."""
        if self._profile is not None:
            self.baseline[self.kind] = self._profile.stacks(self.kind).copy()
            self._shown = ()
            self._say("baseline taken: what is shown is since now; x compares with what was before")

    def toggle_difference(self) -> None:
        """Show what came since the baseline against what was before it, or stop that."""
        if self.kind not in self.baseline:
            self._say("take a baseline first: b")
        else:
            self.compared = not self.compared

    def forget(self) -> None:
        """Draw all anew at the next update, without baselines."""
        self.baseline.clear()
        self.compared = False
        self._shown = ()

    # Drawing

    def _next_by(self) -> str:
        return self._ways[(self._ways.index(self.by) + 1) % len(self._ways)]

    def _tree(self, profile: Profiled) -> Node:
        base, stacks = self.baseline.get(self.kind), profile.stacks(self.kind)
        since = stacks if base is None else stacks.since(base)
        if self.compared and base is not None:
            return difference(self._rows(profile, base), self._rows(profile, since))
        return build(self._rows(profile, since))

    def _rows(self, profile: Profiled, stacks: Stacks) -> list[Row]:
        return stacks.by(self.by, profile.name_of)

    def _update_facts(self, profile: Profiled) -> None:
        by = f" by {'worker' if self.by == 'process' else self.by}" if self.by != "all" else ""
        parts: list[Part] = [(f" {KINDS[self.kind]}", "strong"), (by, "text")]
        if self.compared:
            parts.append(("  since the baseline against before: + more, − less", "accent"))
        elif self.kind in self.baseline:
            parts.append(("  since the baseline", "accent"))
        parts.append((f"  {fmt.duration(self.icicle.root.seconds)}", "text"))
        if self.kind != "waiting":
            samples = fmt.of_many(profile.samples(self.kind), "sample")
            parts.append((f"  {samples}, idle {fmt.duration(profile.idle)}", "dim"))
        if not profile.has(self.kind):
            parts = [(f" {profile.why_empty(self.kind)}", "dim")]
        self.query_one("#facts", Lines).show([tuple(parts)])
