"""The rows of the Service screens: workers, and tasks, lines, ends and findings of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from monitor.findings.columns import FINDINGS
from monitor.findings.model import Finding
from monitor.fleet.rows import SERVICE, ServiceRow
from monitor.fleet.service import Service
from monitor.store.across import OfWorker, across
from monitor.store.columns import ENDED, SLOW, TASKS
from monitor.store.group_columns import LABEL_GROUPS
from monitor.store.label_groups import LabelGroup
from monitor.store.model import EndedTask, Task
from monitor.store.query import Predicate, parse
from monitor.store.slow_log import BlockingLine
from monitor.store.store import Store
from monitor.store.threads import THREADS, Thread
from monitor.tui.base.paint import Part
from monitor.tui.base.theme import STATE_STYLES, delay_style, label_style, load_style
from monitor.tui.rows.base import SearchedRows
from monitor.tui.rows.slow import with_label
from monitor.tui.rows.tasks import with_coroutine
from monitor.tui.rows.threads import thread_style

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from monitor.store.column import Column

Thing = TypeVar("Thing")
WORKER = "worker:"


class WorkerRows(SearchedRows[ServiceRow]):
    """One row for each worker, those in trouble first."""

    columns = SERVICE
    default_sort = "trouble"

    def __init__(self, service: Service) -> None:
        self.service = service
        if not service.elsewhere:
            self.columns = tuple(column for column in SERVICE if column.key != "host")
        self._now: dict[int, ServiceRow] = {}
        super().__init__(Store())

    def refresh(self) -> list[ServiceRow]:
        """Take the current figures of all workers."""
        found = self.service.rows()
        self._now = {row.worker: row for row in found}
        return found

    def filter(self, text: str) -> None:
        """Keep rows with all of these words."""
        self.words = tuple(text.lower().split())

    def choose(self) -> list[ServiceRow]:
        """All workers that match the filter."""
        return self.search(self.refresh())

    def key_of(self, row: ServiceRow) -> Hashable:
        """The slot of the worker."""
        return row.worker

    def slot(self, index: int) -> int:
        """The slot of a row."""
        return self.rows[index].worker

    def now(self, row: ServiceRow) -> ServiceRow:
        """The current figures of the worker."""
        return self._now.get(row.worker, row)

    def style(self, row: ServiceRow, key: str) -> str:
        """Colour what is late, busy or wrong."""
        match key:
            case "worker":
                return "strong"
            case "lag" | "lags":
                return "text" if row.lag is None else delay_style(row.lag)
            case "utilization":
                return load_style(row.utilization)
            case "failed":
                return "bad" if row.failed else "faint"
            case "errors":
                return "bad" if row.errors else "faint"
            case "trouble":
                return "dim" if row.entering else "bad" if row.broken or row.problem else "warn"
            case "pid":
                return "dim"
            case _:
                return "text"


def worker_and_words(text: str) -> tuple[int | None, tuple[str, ...]]:
    """Split a filter: the worker of `worker:3`, and the other words."""
    words = text.lower().split()
    slots = [word[len(WORKER) :] for word in words if word.startswith(WORKER)]
    worker = int(slots[-1]) if slots and slots[-1].isdecimal() else None
    return worker, tuple(word for word in words if not word.startswith(WORKER))


class AcrossRows(SearchedRows[OfWorker[Thing]], Generic[Thing]):
    """Rows of all workers; `worker:3` among the words keeps those of one."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.worker: int | None = None
        super().__init__(Store())

    def filter(self, text: str) -> None:
        """Keep rows with all of these words."""
        self.worker, self.words = worker_and_words(text)

    def choose(self) -> list[OfWorker[Thing]]:
        """The rows that match the filter."""
        return self.search([of for of in self.all() if self.worker is None or of.store.worker == self.worker])

    def all(self) -> list[OfWorker[Any]]:
        """The rows of all workers."""
        raise NotImplementedError

    def slot(self, index: int) -> int:
        """The slot of the worker that a row belongs to."""
        return self.rows[index].store.worker or 0

    def key_of(self, row: OfWorker[Thing]) -> Hashable:
        """The worker, and the key of the row in it."""
        return row.store.worker, self.key_in(row.row)

    def key_in(self, row: Thing) -> Hashable:
        """The key of a row among those of one worker."""
        raise NotImplementedError


class TasksOfAll(AcrossRows[Task]):
    """The live tasks of all workers."""

    columns = across(TASKS)
    default_sort = "busy"

    def __init__(self, service: Service) -> None:
        self.predicate: Predicate = parse("")
        super().__init__(service)

    def filter(self, text: str) -> None:
        """Keep tasks that match. Raises UsageError."""
        self.predicate = parse(text)

    def choose(self) -> list[OfWorker[Task]]:
        """The live tasks that match the filter."""
        return [of for of in self.all() if self.predicate(of.row, of.store)]

    def all(self) -> list[OfWorker[Any]]:
        """The live tasks of all workers."""
        return list(self.service.tasks())

    def key_in(self, row: Task) -> Hashable:
        """The id of the task."""
        return row.id

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Name tasks after their coroutines where there is no room for both."""
        return with_coroutine(super().cells(index, columns), columns, self.rows[index].row)

    def style(self, row: OfWorker[Task], key: str) -> str:
        """Colour by state and load."""
        if row.row.id not in row.store.tasks:
            return "faint"
        match key:
            case "state":
                return STATE_STYLES[row.row.state_name]
            case "share":
                return load_style(row.row.share)
            case "max_step":
                return delay_style(row.row.max_step)
            case "name":
                return "strong"
            case "process":
                return "accent"
            case _:
                return "text"


class SlowOfAll(AcrossRows[BlockingLine]):
    """The lines that blocked loops, each once."""

    columns = across(SLOW)
    default_sort = "total"

    def choose(self) -> list[OfWorker[BlockingLine]]:
        """The lines that match the filter; with `worker:3` those that blocked that worker."""
        rows = self.search(self.all())
        return [of for of in rows if self.worker is None or f" {self.worker}:" in f" {of.whose}"]

    def all(self) -> list[OfWorker[Any]]:
        """The blocking lines of all workers, each line once."""
        return list(self.service.slow())

    def key_of(self, row: OfWorker[BlockingLine]) -> Hashable:
        """The blocking line, whichever worker reported it."""
        return row.row.line or "unknown"

    def key_in(self, row: BlockingLine) -> Hashable:
        """The blocking line within one worker."""
        return row.line

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Show the label in place of the task where there is no room for both."""
        return with_label(super().cells(index, columns), columns, self.rows[index].row)

    def style(self, row: OfWorker[BlockingLine], key: str) -> str:
        """Color blocks by their length."""
        if key == "label":
            return label_style(row.row.label)
        return {"process": "accent", "line": "strong", "worst": "warn", "last": "dim"}.get(key, "text")


class GroupsOfAll(AcrossRows[LabelGroup]):
    """Tasks by coroutine and label, each once; with `worker:3` of that worker alone."""

    columns = across(LABEL_GROUPS, process=14)  # a row has several: `0: 92257, 1: 4596`
    default_sort = "total"

    def all(self) -> list[OfWorker[Any]]:
        """The groups of all workers, or of the one that is asked for."""
        return list(self.service.groups(self.worker))

    def key_of(self, row: OfWorker[LabelGroup]) -> Hashable:
        """The group, whichever workers have it."""
        return self.key_in(row.row)

    def key_in(self, row: LabelGroup) -> Hashable:
        """Its coroutine and label."""
        return row.coro, row.label

    def style(self, row: OfWorker[LabelGroup], key: str) -> str:
        """Highlight labels and failures."""
        match key:
            case "process":
                return "accent"
            case "group":
                return label_style(row.row.label)
            case "failed":
                return "bad" if row.row.failed else "dim"
            case "errors":
                return "bad" if row.row.errors else "dim"
            case "time":
                return "bar"
            case _:
                return "text"


class EndedOfAll(AcrossRows[EndedTask]):
    """The tasks of all workers that have ended."""

    columns = across(ENDED)
    default_sort = "ended"

    def all(self) -> list[OfWorker[Any]]:
        """The ended tasks that each store keeps."""
        return list(self.service.ended())

    def key_in(self, row: EndedTask) -> Hashable:
        """The id, and when it ended."""
        return row.outcome, row.id, row.ended

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Name tasks after their labels or coroutines where there is no room for both."""
        return with_coroutine(super().cells(index, columns), columns, self.rows[index].row)

    def style(self, row: OfWorker[EndedTask], key: str) -> str:
        """Color ended tasks by their outcome."""
        if key == "label":
            return label_style(row.row.label)
        if key == "outcome":
            return STATE_STYLES.get(row.row.outcome, "text")
        return {"process": "accent", "name": "strong", "exception": "bad"}.get(key, "text")


class FindingsOfAll(AcrossRows[Finding]):
    """The findings of all workers."""

    columns = across(FINDINGS)
    default_sort = "kind"

    def all(self) -> list[OfWorker[Any]]:
        """The findings that are not dismissed."""
        return list(self.service.findings())

    def key_in(self, row: Finding) -> Hashable:
        """The number of the finding."""
        return row.id

    def style(self, row: OfWorker[Finding], key: str) -> str:
        """Color findings by their severity."""
        if key == "kind":
            return str(row.row.kind.weight)
        return {"process": "accent", "site": "accent", "since": "dim"}.get(key, "text")


class ThreadsOfAll(AcrossRows[Thread]):
    """The threads of all workers."""

    columns = across(THREADS)
    default_sort = "cpu"

    def all(self) -> list[OfWorker[Any]]:
        """The threads at the newest look at each worker."""
        return list(self.service.threads())

    def key_in(self, row: Thread) -> Hashable:
        """The number that the kernel has for it."""
        return row.facts.native

    def style(self, row: OfWorker[Thread], key: str) -> str:
        """Highlight what is busy, as for one program."""
        return "accent" if key == "process" else thread_style(row.row, key)
