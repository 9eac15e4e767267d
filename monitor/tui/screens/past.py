"""The last ten minutes or six hours, as the probe remembers them."""

from __future__ import annotations

from typing import Any, ClassVar

from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Line
from monitor.tui.pages.past import SPANS, past_page
from monitor.tui.screens.page import PageScreen


class PastScreen(PageScreen):
    """Charts over an axis of time, with slow callbacks and failures on it."""

    SCOPES: ClassVar[tuple[str, ...]] = (*PageScreen.SCOPES, "past")
    BINDINGS: ClassVar[list[Any]] = bindings("past")

    def __init__(self) -> None:
        super().__init__()
        self._span = SPANS[0]

    def lines(self, cells: int) -> list[Line]:
        """Build the time axis with its slow callbacks and failures."""
        return past_page(self.store, self._span, self.looptop.subscription.slow, cells)

    def action_span(self) -> None:
        """Switches between ten minutes and six hours."""
        self._span = SPANS[1] if self._span == SPANS[0] else SPANS[0]
        self.update_view()
