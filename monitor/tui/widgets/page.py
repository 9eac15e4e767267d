"""A page of lines that is built again at every tick; the cursor stays on its target.

The cursor goes from one line with a target to the next; between them, and past the last, the page scrolls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.message import Message

from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import BLANK, Line, to_strip
from monitor.tui.widgets.diff_view import DiffView

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual import events
    from textual.strip import Strip

    from monitor.tui.base.theme import Palette


class Page(DiffView, can_focus=True):
    """A scrollable page. With `follow` it keeps the end in sight until the user scrolls up."""

    BINDINGS: ClassVar[list[Any]] = bindings("page")

    class Opened(Message):
        """Posted on Enter or a click on a line with a target."""

        def __init__(self, target: Hashable) -> None:
            super().__init__()
            self.target = target

    def __init__(self, palette: Palette, *, follow: bool = False, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(palette, id=id)
        self.follow = follow
        self._sticky = follow
        self.lines: Sequence[Line] = []
        self.target: Hashable = None
        self._cursor: int | None = None

    def show(self, lines: Sequence[Line]) -> None:
        """Sets the lines; the cursor stays on its target."""
        self.lines = lines
        if self.target is not None:
            near = self._cursor if self._cursor is not None else 0
            places = [number for number, line in enumerate(lines) if line.target == self.target]
            self._cursor = min(places, key=lambda place: abs(place - near), default=None)
            if self._cursor is None:
                self.target = None
        size = self._whole_size()
        if size != self.virtual_size:
            self.virtual_size = size
        if self.follow:
            self.scroll_to(y=max(len(lines) - self.size.height, 0), animate=False, force=True)
            self.call_after_refresh(self._place_thumb)
        self.sync()

    def _place_thumb(self) -> None:
        """Sets the position of a scrollbar that has just appeared."""
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = self.scroll_y

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Stops following the end when scrolled up, and resumes at the end."""
        super().watch_scroll_y(old_value, new_value)
        if self._sticky:
            self.follow = round(new_value) >= len(self.lines) - self.size.height

    def _line_count(self) -> int:
        return len(self.lines)

    def _signature(self, y: int) -> tuple[Line, bool]:
        row = round(self.scroll_y) + y
        return (self.lines[row] if row < len(self.lines) else BLANK, row == self._cursor)

    def render_line(self, y: int) -> Strip:
        """Renders one line, with a mark if it can be opened."""
        line, chosen = self._painted[y] = self._signature(y)
        mark = ("▌" if chosen else "›" if line.target is not None else " ", "accent")
        return to_strip((mark, *line.parts), self.cells_wide, self.palette, self.palette.cursor if chosen else None)

    # Actions

    def _scroll(self, by: int) -> None:
        last = max(len(self.lines) - self.size.height, 0)
        top = min(max(round(self.scroll_y) + by, 0), last)
        self.scroll_to(y=top, animate=False, force=True)
        self.sync()

    def _step(self, by: int) -> None:
        """Moves to the next line with a target if it is near, else scrolls by a line."""
        top, height = round(self.scroll_y), self.size.height
        start = self._cursor if self._cursor is not None and top <= self._cursor < top + height else None
        place = start + by if start is not None else (top if by > 0 else top + height - 1)
        while 0 <= place < len(self.lines) and top - 1 <= place <= top + height:
            if self.lines[place].target is not None:
                self._cursor, self.target = place, self.lines[place].target
                if not top <= place < top + height:
                    self._scroll(by)
                self.sync()
                return
            place += by
        self._scroll(by)

    def action_up(self) -> None:
        """Moves to the previous line that can be opened, or scrolls up."""
        self._step(-1)

    def action_down(self) -> None:
        """Moves to the next line that can be opened, or scrolls down."""
        self._step(1)

    def action_page_up(self) -> None:
        """Scrolls one screen up."""
        self._scroll(-max(self.size.height - 1, 1))

    def action_page_down(self) -> None:
        """Scrolls one screen down."""
        self._scroll(max(self.size.height - 1, 1))

    def action_first(self) -> None:
        """Scrolls to the top."""
        self._scroll(-len(self.lines))

    def action_last(self) -> None:
        """Scrolls to the end."""
        self._scroll(len(self.lines))

    def action_open(self) -> None:
        """Opens the line under the cursor."""
        if self.target is not None:
            self.post_message(self.Opened(self.target))

    def on_click(self, event: events.Click) -> None:
        """Selects a line that can be opened; a second click opens it."""
        row = round(self.scroll_y) + event.y
        if row < len(self.lines) and self.lines[row].target is not None:
            self._cursor, self.target = row, self.lines[row].target
            self.sync()
            if event.chain == 2:
                self.action_open()
