"""Output of `looptop tasks` for several programs: one table, one object."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor import formatting as fmt
from monitor.errors import LooptopError
from monitor.plain import objects
from monitor.plain.snapshot import TaskList, receive_tasks, sort_order
from monitor.plain.task_options import TaskOptions, ask
from monitor.store.across import OfWorker, across, process_text
from monitor.store.column import Column, by_key, ordered
from monitor.store.columns import ENDED, TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.fleet.members import Member
    from monitor.plain.objects import Object
    from monitor.store.model import EndedTask, Task
    from monitor.store.store import Store
    from monitor.transport.connection import Connection


@dataclass(slots=True)
class TaskLists:
    """The task lists of all processes of a set, by slot, and all their tasks in one order."""

    wanted: TaskOptions
    members: list[Member]
    lists: dict[int, TaskList] = field(default_factory=dict)
    problems: dict[int, LooptopError] = field(default_factory=dict)
    tasks: list[OfWorker[Task]] = field(default_factory=list)
    ended: list[OfWorker[EndedTask]] = field(default_factory=list)

    @property
    def passed(self) -> int:
        """Live tasks that match the filter, including those beyond the limit."""
        return sum(look.passed for look in self.lists.values())


def read_tasks(connection: Connection, worker: int, wanted: TaskOptions) -> TaskList:
    """The task list of one process. Closes the connection."""
    with closing(connection):
        ask(connection, wanted)
        return receive_tasks(connection, wanted, worker)


def merged(wanted: TaskOptions, members: Sequence[Member], found: dict[int, TaskList | LooptopError]) -> TaskLists:
    """All task lists merged, in the requested order and up to the requested limit."""
    all_lists = TaskLists(wanted, list(members))
    for worker, one in sorted(found.items()):
        if isinstance(one, LooptopError):
            all_lists.problems[worker] = one
        else:
            all_lists.lists[worker] = one
    lists = all_lists.lists.values()
    column, descending = sort_order(wanted.sort)
    tasks = [OfWorker(one.store, task) for one in lists for task in one.tasks]
    if not wanted.tree and tasks:
        tasks = ordered(tasks, _of(across(TASKS), column.key), tasks[0].store, descending)
    all_lists.tasks = tasks[: wanted.limit]
    ended = [OfWorker(one.store, task) for one in lists for task in one.ended]
    if ended:
        key = wanted.sort.removeprefix("-")
        by = _of(across(ENDED), key if by_key(ENDED, key) else "ended")
        ended = ordered(ended, by, ended[0].store, by.descending ^ wanted.sort.startswith("-"))
    all_lists.ended = ended[: wanted.limit]
    return all_lists


def _of(columns: Sequence[Column[OfWorker[Any]]], key: str) -> Column[OfWorker[Any]]:
    column = by_key(tuple(columns), key)
    assert column is not None
    return column


def tasks_object(seen: TaskLists) -> Object:
    """The object that `looptop tasks --json` prints for a set."""
    listed = [{**_whose(of.store), **objects.task_object(of.row, of.store)} for of in seen.tasks]
    listed += [{**_whose(of.store), **objects.ended_object(of.row)} for of in seen.ended]
    return {"processes": [_process_object(seen, member) for member in seen.members], "tasks": listed}


def _whose(store: Store) -> Object:
    return {"pid": store.session.pid if store.session is not None else None, "worker": store.worker}


def _process_object(seen: TaskLists, member: Member) -> Object:
    problem = seen.problems.get(member.worker)
    if problem is not None:
        nothing: Object = {"session": None, "loops": [], "process": None}
        return {"pid": member.pid, "worker": member.worker, "problem": str(problem), **nothing}
    store = seen.lists[member.worker].store
    return {
        **_whose(store),
        "problem": None,
        "session": objects.session_object(store),
        "loops": [objects.loop_object(loop) for loop in store.loops.values()],
        "process": objects.process_object(store),
    }


def tasks_lines(seen: TaskLists, width: int, colour: bool) -> list[str]:
    """The lines that `looptop tasks` prints for a set: one for each process, then all tasks."""
    from monitor.plain import await_stacks
    from monitor.plain.reports import in_tree
    from monitor.plain.tables import of_columns, table

    lines = [fmt.clean(_process_line(seen, member)) for member in seen.members]
    if seen.tasks and seen.wanted.stacks:
        for one in seen.lists.values():
            tasks = [of.row for of in seen.tasks if of.store is one.store]
            if tasks:
                lines += ["", f"worker {process_text(one.store)}"]
                lines += await_stacks.lines(one.store, tasks, one.depths, width)
    elif seen.tasks:
        headings = of_columns(across(TASKS), seen.tasks[0].store, _row)
        if seen.wanted.tree:
            depths = {id(one.store): one.depths for one in seen.lists.values()}
            headings = [
                in_tree(heading, lambda of: depths[id(of.store)].get(of.row.id, 0))
                if heading.title == "Name"
                else heading
                for heading in headings
            ]
        lines += ["", *table(seen.tasks, headings, width, colour)]
    elif not seen.passed:
        lines += ["", "no task passes the filter" if seen.wanted.filter else "no tasks"]
    if seen.ended:
        lines += ["", *table(seen.ended, of_columns(across(ENDED), seen.ended[0].store, _row), width, colour)]
    left_out = seen.passed - len(seen.tasks)
    if left_out > 0:
        lines += ["", fmt.of_many(left_out, "more live task")]
    for one in seen.lists.values():
        lines += [f"note: worker {one.store.worker}: {fmt.clean(notice.text)}" for notice in one.store.notices]
    return lines


def _row(of: OfWorker[Any]) -> Any:
    return of.row


def _process_line(seen: TaskLists, member: Member) -> str:
    problem = seen.problems.get(member.worker)
    if problem is not None:
        return f"worker {member.worker}  {member.target}: {problem}"
    store = seen.lists[member.worker].store
    loops = store.loops.values()
    lag = max((loop.lag for loop in loops if loop.busy is not None), default=None)
    utilization = max((loop.utilization for loop in loops if loop.utilization is not None), default=None)
    number = len(store.tasks)
    figures = [
        f"worker {process_text(store)}",
        fmt.of_many(number, "task"),
        f"lag {fmt.duration(lag)}",
        f"utilization {fmt.percent(utilization)}",
        f"{fmt.rate(store.steps_per_s())} steps/s",
        f"rss {fmt.size(store.process.rss)}",
    ]
    return "  ".join(figures) if store.loops else f"{figures[0]}  no event loop has run yet"
