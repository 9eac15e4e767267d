"""The interface of the probe that serving uses, as a Protocol, so that this package does not import the probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..base.settings import Settings
    from ..flame.flames import Flames
    from ..history.recorder import History
    from ..hooks.loops import Loops
    from ..inspection.gil_share import GilShare
    from ..inspection.sync_scan import SyncScanner
    from ..labels.labels import Labels
    from ..memory.requests import Memory
    from ..sampling.counting import Counting
    from ..sampling.journal import Journal
    from ..sampling.rows import Clock
    from ..sampling.sampler import Sampler
    from ..sampling.watchdog import Watchdog
    from ..trace.ring import StepRing
    from .demand import Demand
    from .endpoints import Endpoints
    from .facts import Facts
    from .task_control import TaskControl


class Host(Protocol):
    """The probe as its server, connections and sessions use it. Imported for typing only."""

    session_id: str
    opened: float
    settings: Settings
    endpoints: Endpoints
    clock: Clock
    loops: Loops
    sampler: Sampler
    journal: Journal
    history: History
    labels: Labels
    memory: Memory
    sync_scanner: SyncScanner
    watchdog: Watchdog
    ring: StepRing
    tasks: TaskControl
    facts: Facts
    flames: Flames
    gil_share: GilShare
    counting: Counting
    demand: Demand

    def viewers_changed(self) -> None:
        """Adapts what is collected to what the viewers look at now."""

    def woken(self) -> None:
        """The probe's thread has the GIL again."""

    def next_look(self) -> float | None:
        """When `sample_if_due` must be called even if no viewer is due, in seconds of the monotonic clock."""

    def sample_if_due(self, now: float) -> None:
        """Collects what the hooks recorded, if it is time."""

    def sample_last(self, now: float) -> None:
        """Collects what the hooks recorded, before the probe leaves."""

    def notice(self, text: str) -> None:
        """Sends one line to every viewer."""

    def stay(self) -> None:
        """Keeps the probe in, remembering, when the last viewer leaves."""

    def stop_soon(self, why: str) -> None:
        """Takes the probe out after what its thread does now."""

    def exit(self, how: str) -> None:
        """Leaves because the process is about to end in order; `how` is for the black box."""
