"""What the viewers together need of the probe: whether to count, with which thresholds, and whether to stay at all."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import local_values
from ..hooks import install
from ..hooks.groups import groups
from ..hooks.records import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.settings import Settings
    from ..hooks.records import TaskRecord
    from ..sampling.watchdog import Watchdog
    from .connection import Viewer
    from .session import Session

_WAIT_FOR_A_VIEWER = 10.0
"""Seconds after which a probe that leaves with its last viewer (`leave`) leaves if none has come."""


class Demand:
    """The policy behind counting. Used by the probe's thread."""

    def __init__(self, settings: Settings, viewers: list[Viewer], watchdog: Watchdog) -> None:
        """`viewers` is the server's own list, which changes as they come and go."""
        self._settings = settings
        self._viewers = viewers
        self._watchdog = watchdog
        self._expected_until = monotonic() + settings.expect if settings.expect else 0.0
        self._leave_at = monotonic() + _WAIT_FOR_A_VIEWER if settings.leave else 0.0
        self._had_viewers = False
        self.always_on = settings.history and install.NATIVE
        """Count from the start, with nobody connected. The hooks in Python would slow the program down for nobody."""

    def sessions(self) -> list[Session]:
        """The viewers that have sent a `watch` frame."""
        return [viewer.session for viewer in self._viewers if viewer.session.watching]

    def wants_counting(self) -> bool:
        """Whether steps are to be counted: always, for a viewer, or for one that is expected."""
        sessions = self.sessions()
        if sessions:
            self._expected_until = 0.0
        if self._settings.leave:
            self._had_viewers = self._had_viewers or bool(self._viewers)
            self._leave_at = self._when_to_leave()
        return self.always_on or bool(sessions) or monotonic() < self._expected_until

    def stay(self) -> None:
        """Keeps the probe in with nobody connected, and remembering where the hooks are in C."""
        self._settings.leave = False
        self._settings.history = True
        self._leave_at = 0.0
        self.always_on = install.NATIVE

    def _when_to_leave(self) -> float:
        if self._viewers:
            return 0.0
        return monotonic() if self._had_viewers else self._leave_at

    def apply(self) -> None:
        """Sets how closely hooks and watchdog look: as closely as the most demanding viewer asks."""
        sessions = self.sessions()
        thresholds = [session.watch.slow for session in sessions] or [self._settings.slow]
        install.state.slow_threshold = self._watchdog.threshold = min(thresholds)
        install.state.origin_depth = max((session.watch.origins for session in sessions), default=0)
        requested = self._settings.control and any(session.watch.locals for session in sessions)
        local_values.wanted = self._settings.locals or requested
        groups.counting = install.NATIVE or any(session.watch.groups for session in sessions)

    def wants_rows(self) -> bool:
        """Whether a viewer follows tasks (all do but those that collect metrics), so that loops are watched closely."""
        return any(session.watch.rows for session in self.sessions())

    def wants_findings(self) -> bool:
        """Whether a viewer asked for the observations behind findings."""
        return any(session.watch.findings for session in self.sessions())

    def flames(self, hz: int) -> dict[str, Any]:
        """What is wanted for flame graphs: the arguments of `Flames.adapt`. `hz`: what the black box asks for."""
        watches = [session.watch for session in self.sessions()]
        return {
            "hz": max([hz, *(watch.flame for watch in watches)]),
            "jobs": any(watch.flame_jobs for watch in watches),
            "wait": any(watch.flame_wait for watch in watches),
            "by_task": any(watch.flame_tasks for watch in watches),
        }

    def wants_gil(self) -> bool:
        """Whether a viewer asked which threads have the GIL."""
        return any(session.watch.gil for session in self.sessions())

    def wants_steps(self) -> bool:
        """Whether a viewer traces steps."""
        return any(session.watch.steps is not None for session in self.sessions())

    def follow_details(self, record_of: Callable[[int | None], TaskRecord | None]) -> None:
        """Keeps a histogram for each task that a viewer has open, and drops it when the last one closes it."""
        wanted: dict[int, TaskRecord] = {}
        for session in self.sessions():
            before = session.detailed
            session.detailed = record_of(session.watch.detail)
            if session.detailed is not None:
                wanted[session.detailed.id] = session.detailed
                if session.detailed.histogram is None:
                    session.detailed.histogram = Histogram()
            if before is not None and before.id not in wanted:
                before.histogram = None

    def deadlines(self) -> list[float]:
        """When `has_lapsed` or `should_leave` may change although no viewer does anything."""
        return [when for when in (self._expected_until, self._leave_at) if when]

    def has_lapsed(self, now: float) -> bool:
        """Whether the time to wait for an expected viewer is over; true once."""
        if self._expected_until and now >= self._expected_until:
            self._expected_until = 0.0
            return True
        return False

    def should_leave(self, now: float) -> bool:
        """Whether the probe was to leave with its last viewer, and that one has left or never came."""
        return bool(self._leave_at) and now >= self._leave_at
