"""What running and recorded sets have in common: their processes, each with a store, as they come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.findings.rules.engine import Findings
    from monitor.fleet.fleet import Change
    from monitor.fleet.members import Member
    from monitor.protocol.frames import Frame
    from monitor.store.store import Store

RATE = 2.0
"""Ticks per second of each worker."""
ASKED: dict[str, object] = {"rate": RATE, "rows": True, "events": True, "findings": True}
WITH_HOOKS_IN_C: dict[str, object] = {"groups": True}
"""Also requested from programs that count groups anyway."""


class AnyWorker(Protocol):
    """A process of a set, running or recorded."""

    @property
    def slot(self) -> int:
        """Number of the worker."""

    @property
    def pid(self) -> int | None:
        """The pid of the worker's process, if known."""

    @property
    def member(self) -> Member:
        """The TARGET that means this process alone."""

    @property
    def store(self) -> Store:
        """The store that its frames are applied to."""

    @property
    def up(self) -> bool:
        """Whether the worker is connected and answers."""

    @property
    def entering(self) -> bool:
        """Whether the first connection to it is being made."""

    @property
    def problem(self) -> str | None:
        """Why it does not answer; None if it does."""

    @property
    def owner(self) -> int | None:
        """The user id of the program, if the kernel vouches for it."""

    def find(self, findings: Findings, budget: float) -> None:
        """Bring its findings up to date; may stop after `budget` seconds and go on the next time."""


class AnyFleet(Protocol):
    """The processes of a set, running or recorded."""

    @property
    def elsewhere(self) -> bool:
        """Whether some may be on other machines."""

    @property
    def recorded(self) -> bool:
        """Whether they are replayed."""

    @property
    def workers(self) -> Mapping[int, AnyWorker]:
        """The current processes, by slot."""

    def step(self) -> list[Change]:
        """Return the processes that have come or gone since the last call."""

    def changed(self) -> list[Change]:
        """The same without a search for others."""

    def take(self) -> Iterator[tuple[AnyWorker, list[Frame]]]:
        """Yield the frames since the last call; one that stops early goes on there the next time."""

    def watch(self, **what: object) -> None:
        """Change what is asked of every worker."""

    def close(self) -> None:
        """Close the connections to all workers."""
