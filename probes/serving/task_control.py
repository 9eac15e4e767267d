"""Finding a live task by its id, and cancelling it for a viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.task_facts import is_done
from ..base.validation import BadRequestError, require_control

if TYPE_CHECKING:
    from ..base.settings import Settings
    from ..hooks.records import TaskRecord
    from ..sampling.sampler import Sampler


class TaskControl:
    """The live tasks, as far as the sampler has seen them."""

    def __init__(self, settings: Settings, sampler: Sampler) -> None:
        self._settings = settings
        self._sampler = sampler

    def record_of(self, number: int | None) -> TaskRecord | None:
        """The record of a live task by its id."""
        if number is None or number >> 63:  # the table in C raises for anything beyond 64 bits
            return None
        return self._sampler.by_id.get(number)

    def cancel(self, number: Any) -> None:
        """Cancels a task in its own loop. Raises BadRequestError with one line why not."""
        require_control(self._settings)
        record = self.record_of(number) if type(number) is int else None
        task = record() if record is not None else None
        if task is None or is_done(task):
            raise BadRequestError(f"no such task: {str(number)[:40]}")
        try:
            task.get_loop().call_soon_threadsafe(task.cancel)
        except RuntimeError:
            raise BadRequestError("the loop of that task is closed") from None
