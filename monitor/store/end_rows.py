"""The rows of the Ended table: tasks that ended, and calls of the loops' exception handlers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from monitor.store.model import EndedTask, Failure, Unhandled

if TYPE_CHECKING:
    from monitor.store.model import CancelledBy, Site

UNHANDLED = "unhandled"


@dataclass(frozen=True, slots=True)
class UnhandledRow:
    """One call of a loop's exception handler, in the columns of tasks that ended."""

    entry: Unhandled

    outcome: ClassVar[str] = UNHANDLED
    age: ClassVar[float | None] = None
    busy: ClassVar[float | None] = None
    steps: ClassVar[int | None] = None
    label: ClassVar[str | None] = None
    site: ClassVar[Site | None] = None
    cancelled_by: ClassVar[CancelledBy | None] = None

    @property
    def id(self) -> int:
        """The task that the call names; 0 for none."""
        return self.entry.task or 0

    @property
    def name(self) -> str:
        """The name of that task; empty for none."""
        return self.entry.name or ""

    @property
    def coro(self) -> str:
        """The message: the call has no coroutine."""
        return self.entry.message

    @property
    def ended(self) -> float:
        """When the handler was called."""
        return self.entry.at

    @property
    def failure(self) -> Failure:
        """The exception; the message if the call has none."""
        return self.entry.failure or Failure("", self.entry.message, ())


EndRow: TypeAlias = EndedTask | UnhandledRow
