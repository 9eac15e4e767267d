"""The base of pages about steps: they are requested while the page is open, and read now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor.tui.base.keys import bindings
from monitor.tui.screens.page import PageScreen

if TYPE_CHECKING:
    from monitor.trace.collect import Trace


class StepsScreen(PageScreen):
    """A page about the steps of tasks."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page")
    BINDINGS: ClassVar[list[Any]] = bindings("page")
    EVERY: ClassVar[float] = 1.0
    """Seconds between two readings of the steps."""

    def __init__(self) -> None:
        super().__init__()
        self._looked = float("-inf")

    def on_mount(self) -> None:
        """Request the steps from the probe."""
        super().on_mount()
        self.looptop.steps.begin()

    def on_unmount(self) -> None:
        """Stop collecting steps if no other screen needs them."""
        self.looptop.steps.end()

    def trace_if_due(self) -> Trace | None:
        """Return the steps if it is time to read them again."""
        now = self.looptop.clock()
        trace = self.looptop.steps.trace
        if trace is None or self.looptop.paused or now - self._looked < self.EVERY:
            return None
        self._looked = now
        return trace
