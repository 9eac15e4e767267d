"""A few lines at a fixed place, repainted only on change: header, tabs, banner, footer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.geometry import Region
from textual.widget import Widget

from monitor.tui.base.paint import Part, crop, to_strip, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.strip import Strip

    from monitor.tui.base.theme import Palette


class Lines(Widget):
    """Paints the given lines. `spots` of a line are (from cell, to cell, action) for clicks."""

    def __init__(self, palette: Palette, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.palette = palette
        self._lines: list[tuple[Part, ...]] = []
        self._actions: list[Sequence[str | None]] = []

    def show(self, lines: Sequence[tuple[Part, ...]], actions: Sequence[Sequence[str | None]] = ()) -> None:
        """Sets the lines. `actions` holds for each line the action of each part."""
        before, self._lines = self._lines, list(lines)
        self._actions = list(actions)
        for y in range(max(len(before), len(self._lines))):
            if before[y : y + 1] != self._lines[y : y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    def repaint(self, palette: Palette) -> None:
        """Repaints everything with another palette."""
        self.palette = palette
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Render line `y` of the visible part."""
        parts = self._lines[y] if y < len(self._lines) else ()
        return to_strip(parts, self.size.width, self.palette)

    async def on_click(self, event: events.Click) -> None:
        """Runs the action of the part under the mouse."""
        if event.y >= min(len(self._lines), len(self._actions)):
            return
        place = 0
        parts = crop(self._lines[event.y], self.size.width)
        for (text, _), action in zip(parts, self._actions[event.y], strict=False):
            place += width(text)
            if event.x < place:
                if action is not None:
                    await self.run_action(action)
                return
