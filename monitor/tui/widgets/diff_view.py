"""A view of lines, of which only those are painted that changed: what the table and the page have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView

if TYPE_CHECKING:
    from monitor.tui.base.theme import Palette


class DiffView(ScrollView):
    """Remembers what each line of the screen was painted from. Its owner calls `sync` when that may have changed."""

    DEFAULT_CSS = """
    DiffView { height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
              scrollbar-gutter: stable; background: $background; }
    """

    def __init__(self, palette: Palette, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.palette = palette
        self._painted: dict[int, object] = {}

    def sync(self) -> None:
        """Looks at the lines in sight and repaints those that changed."""
        width = self.cells_wide
        for y in range(self.size.height):
            if self._painted.get(y) != self._signature(y):
                self.refresh(Region(0, y, width, 1))

    def repaint(self, palette: Palette) -> None:
        """Paints everything again in other colours."""
        self.palette = palette
        self._painted.clear()
        self.refresh()

    @property
    def cells_wide(self) -> int:
        """What is left of the width beside the scrollbar, whether it shows or not: nothing jumps when it comes."""
        return self.scrollable_content_region.width

    def on_resize(self) -> None:
        """Another size shows other lines."""
        self._painted.clear()
        self.virtual_size = self._whole_size()
        self.refresh()

    def _whole_size(self) -> Size:
        """The size of all lines, in sight or not."""
        return Size(self.cells_wide, self._line_count())

    def _line_count(self) -> int:
        raise NotImplementedError

    def _signature(self, y: int) -> object:
        """Everything that can be seen of a line of the screen."""
        raise NotImplementedError
