"""The base of table and page: a scrollable view of lines that repaints only those that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView

if TYPE_CHECKING:
    from monitor.tui.base.theme import Palette


class DiffView(ScrollView):
    """Remembers what each screen line was painted from. The owner calls `sync` after changes."""

    DEFAULT_CSS = """
    DiffView { height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
              scrollbar-gutter: stable; background: $background; }
    """

    def __init__(self, palette: Palette, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.palette = palette
        self._painted: dict[int, object] = {}

    def sync(self) -> None:
        """Repaints the visible lines that changed."""
        width = self.cells_wide
        for y in range(self.size.height):
            if self._painted.get(y) != self._signature(y):
                self.refresh(Region(0, y, width, 1))

    def repaint(self, palette: Palette) -> None:
        """Repaints everything with another palette."""
        self.palette = palette
        self._painted.clear()
        self.refresh()

    @property
    def cells_wide(self) -> int:
        """The width without the scrollbar, which is always reserved so that nothing jumps."""
        return self.scrollable_content_region.width

    def on_resize(self) -> None:
        """Repaint every line at the new size."""
        self._painted.clear()
        self.virtual_size = self._whole_size()
        self.refresh()

    def _whole_size(self) -> Size:
        """The size of all lines, visible or not."""
        return Size(self.cells_wide, self._line_count())

    def _line_count(self) -> int:
        raise NotImplementedError

    def _signature(self, y: int) -> object:
        """Everything that determines how a screen line looks."""
        raise NotImplementedError
