"""The steps of the program while a page needs them: requested when it opens, dropped when it closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.protocol.frames import Hello

if TYPE_CHECKING:
    from monitor.protocol.frames import Frame
    from monitor.trace.collect import Trace
    from monitor.tui.base.dashboard import Dashboard

MOST_EVENTS = 400_000
"""Events that the dashboard keeps: twice what the ring of a program holds by default."""


class StepTrace:
    """One trace for all pages of a dashboard."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self._users = 0
        self.trace: Trace | None = None

    def begin(self) -> None:
        """Called when a page opens that needs the steps."""
        self._users += 1
        if self.trace is None:
            self._start()

    def end(self) -> None:
        """Called when that page closes."""
        self._users -= 1
        if not self._users:
            self.trace = None

    def take(self, frame: Frame) -> None:
        """Adds a frame that the store has applied."""
        if self.trace is None or self._app.replaying:
            return
        if isinstance(frame, Hello):  # perhaps another session; the ring is sent again in any case
            self._start()
        self.trace.take(frame)

    def _start(self) -> None:
        from monitor.trace.collect import Trace, of_recording

        path = self._app.recording_path
        if path is not None:
            self.trace = of_recording(path)
        else:
            self.trace = Trace(self._app.store, MOST_EVENTS)
        self.trace.name_live_tasks()
