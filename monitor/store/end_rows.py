"""The rows of the Ended table: ended tasks, and calls of the loops' exception handlers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from monitor.store.model import EndedTask, Failure, Unhandled

if TYPE_CHECKING:
    from monitor.store.model import CancelledBy, Site

UNHANDLED = "unhandled"


@dataclass(frozen=True, slots=True)
class UnhandledRow:
    """A call of a loop's exception handler, with the fields that the columns of ended tasks read."""

    entry: Unhandled

    outcome: ClassVar[str] = UNHANDLED
    age: ClassVar[float | None] = None
    busy: ClassVar[float | None] = None
    steps: ClassVar[int | None] = None
    site: ClassVar[Site | None] = None
    cancelled_by: ClassVar[CancelledBy | None] = None

    @property
    def id(self) -> int:
        """Id of the task that the call names; 0 for none."""
        return self.entry.task or 0

    @property
    def name(self) -> str:
        """Name of the task; empty for none."""
        return self.entry.name or ""

    @property
    def label(self) -> str | None:
        """Label of the task."""
        return self.entry.label

    @property
    def coro(self) -> str:
        """The coroutine of the task; the message if the call names none."""
        return self.entry.coro or self.entry.message

    @property
    def ended(self) -> float:
        """Time of the call."""
        return self.entry.at

    @property
    def failure(self) -> Failure:
        """The exception, or the message if the call has none."""
        return self.entry.failure or Failure("", self.entry.message, ())


EndRow: TypeAlias = EndedTask | UnhandledRow
