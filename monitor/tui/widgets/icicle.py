"""A flame graph from the top down, drawn line by line: each frame is as wide as its share of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from textual.message import Message

from monitor.flame.layout import Box, Path, at_path, layout
from monitor.flame.tree import Node
from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Part, fit, safe, to_strip
from monitor.tui.widgets.diff_view import DiffView

if TYPE_CHECKING:
    from textual import events
    from textual.strip import Strip

    from monitor.tui.base.theme import Palette

UNCHANGED = 0.002
"""Share of the time: below that a frame has not changed."""
_SOLID = Style(reverse=True)


class Icicle(DiffView, can_focus=True):
    """Frames to walk through. The cursor and the zoom are paths, so they stay while the figures change."""

    BINDINGS: ClassVar[list[Any]] = bindings("flame")

    class Moved(Message):
        """The cursor stands on another frame, or another frame fills the width."""

    def __init__(self, palette: Palette, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(palette, id=id)
        self.root = Node("all")
        self.compared = False
        self.cursor: Path = ()
        self.zoomed: Path = ()
        self.words = ""
        self.rows: list[list[Box]] = []
        self._lines: list[tuple[Part, ...]] = []

    def show(self, root: Node, *, compared: bool) -> None:
        """Shows another profile; cursor and zoom stay where that has the same frames."""
        self.root, self.compared = root, compared
        self.lay_out()

    def lay_out(self) -> None:
        """Computes the rows anew, and repaints what changed."""
        _, self.zoomed = at_path(self.root, self.zoomed)
        _, self.cursor = at_path(self.root, self.cursor)
        self.rows = layout(self.root, self.zoomed, max(self.cells_wide, 1))
        self._lines = [self._parts(row) for row in self.rows]
        self.virtual_size = self._whole_size()
        self.sync()

    @property
    def chosen(self) -> Node:
        """The frame under the cursor."""
        return at_path(self.root, self.cursor)[0]

    def on_resize(self) -> None:
        """Another width, other cells."""
        super().on_resize()
        self.lay_out()

    def _line_count(self) -> int:
        return len(self.rows)

    def _signature(self, y: int) -> tuple[Part, ...]:
        row = round(self.scroll_y) + y
        return self._lines[row] if row < len(self._lines) else ()

    def render_line(self, y: int) -> Strip:
        """One row of frames."""
        parts = self._painted[y] = self._signature(y)
        return to_strip(parts, self.cells_wide, self.palette)

    def _parts(self, row: list[Box]) -> tuple[Part, ...]:
        parts: list[Part] = []
        place = 0
        for box in row:
            if box.start > place:
                parts.append((" " * (box.start - place), "text"))
            mark = "▶" if box.path == self.cursor else "▏"
            parts.append((mark + fit(self._text(box.node), box.end - box.start - 1), self._style(box)))
            place = box.end
        return tuple(parts)

    def _text(self, node: Node) -> str:
        whole = self.root.seconds or 1.0
        return f"{self.sign(node)}{safe(node.name)} {100 * node.seconds / whole:.1f}%"

    def sign(self, node: Node) -> str:
        """`+`, `−` or `=` in a difference: what the colour says, for those who see none."""
        if not self.compared:
            return ""
        change = self._change(node)
        return "=" if abs(change) < UNCHANGED else "+" if change > 0 else "−"

    def _change(self, node: Node) -> float:
        return (node.seconds - node.before) / (self.root.seconds or 1.0)

    def _style(self, box: Box) -> Style:
        palette, node = self.palette, box.node
        if box.path == self.cursor:
            return palette.chip
        if self.words and not self.matches(node):
            return palette.faint
        if self.compared:
            change = self._change(node)
            known = palette.dim if abs(change) < UNCHANGED else palette.bad if change > 0 else palette.good
            return known + _SOLID
        if node.site is None:
            return palette.heading + _SOLID
        return (palette.warn if len(box.path) % 2 else palette.accent) + _SOLID

    def matches(self, node: Node) -> bool:
        """Whether what is searched for is in the function or its file."""
        about = f"{node.name} {node.site.file} {node.site.function}" if node.site is not None else node.name
        return self.words in about.lower()

    # What the person does

    def _choose(self, path: Path) -> None:
        self.cursor = path
        self._lines = [self._parts(row) for row in self.rows]
        depth = len(path)
        top, height = round(self.scroll_y), max(self.size.height, 1)
        if not top <= depth < top + height:
            self.scroll_to(y=depth if depth < top else depth - height + 1, animate=False, force=True)
        self.sync()
        self.post_message(self.Moved())

    def action_up(self) -> None:
        """To the frame that called this one."""
        if self.cursor:
            self._choose(self.cursor[:-1])

    def action_down(self) -> None:
        """To the largest frame that this one called."""
        depth = len(self.cursor) + 1
        row = self.rows[depth] if depth < len(self.rows) else []
        below = [box for box in row if box.path[:-1] == self.cursor]
        if below:
            self._choose(below[0].path)

    def action_sideways(self, by: int) -> None:
        """To the frame beside this one, in the same row."""
        depth = len(self.cursor)
        row = [box.path for box in self.rows[depth]] if depth < len(self.rows) else []
        if self.cursor in row:
            self._choose(row[min(max(row.index(self.cursor) + by, 0), len(row) - 1)])

    def action_open(self) -> None:
        """Lets the frame under the cursor fill the width."""
        self.zoomed = self.cursor
        self.lay_out()
        self.post_message(self.Moved())

    def zoom_out(self) -> bool:
        """One frame back; False if all is in sight already."""
        if not self.zoomed:
            return False
        self.zoomed = self.zoomed[:-1]
        self.lay_out()
        return True

    def search(self, words: str) -> int:
        """Marks the frames in whose function or file a text occurs, and returns how many are in sight."""
        self.words = words.lower()
        self.lay_out()
        return sum(self.matches(box.node) for row in self.rows for box in row) if words else 0

    def on_click(self, event: events.Click) -> None:
        """Chooses a frame; a second click lets it fill the width."""
        row = round(self.scroll_y) + event.y
        box = (
            next((one for one in self.rows[row] if one.start <= event.x < one.end), None)
            if row < len(self.rows)
            else None
        )
        if box is not None:
            self._choose(box.path)
            if event.chain == 2:
                self.action_open()
