"""One task list of a program: waits until the state is complete, requests details, and disconnects."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.errors import ConnectError, UsageError
from monitor.plain.task_options import DEFAULT_SORT, RATE, TaskOptions
from monitor.protocol import frames
from monitor.store import query
from monitor.store.column import Column, by_key, ordered
from monitor.store.columns import ENDED, TASKS
from monitor.store.lineage import awaiters, is_orphan
from monitor.store.model import EndedTask, Task
from monitor.store.store import Store
from monitor.transport.connection import Connection
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

MOMENT = 0.3
"""Seconds to wait for the second tick."""

SHORT = 0.01
"""Seconds; a callback that has run for less may not be blocking the loop."""

PATIENCE = 30.0
"""Seconds without any frame after which a program counts as stuck."""

LONGEST = 60.0
"""Seconds for the whole state, or for one reply: a probe that keeps sending must not keep us forever."""

PIECE = 2000
"""Task ids in one request, which may have 64 KiB."""
MOST_DETAILED = 10_000
"""Tasks whose await stacks are requested: reading one costs the program several times as much as its figures."""


@dataclass(slots=True)
class TaskList:
    """The store, and the selected tasks in order."""

    store: Store
    tasks: list[Task]
    ended: list[EndedTask]
    depths: dict[int, int]  # of the tree; empty without one
    of_awaiters: bool = False  # tree: some tasks are below one that awaits them, because their parents are unknown
    stacks: bool = False  # printed with their await stacks
    passed: int = 0  # live tasks that match the filter, including those beyond the limit


def sort_order(key: str) -> tuple[Column[Task], bool]:
    """The column of a `--sort`, and whether the largest comes first; `-KEY` reverses the column's usual order.

    Raises UsageError.
    """
    column = by_key(TASKS, key.removeprefix("-"))
    if column is None or column.sort is None:
        known = ", ".join(column.key for column in TASKS if column.sort is not None)
        raise UsageError(f"cannot sort by {key.removeprefix('-')!r}", f"try one of {known}")
    return column, column.descending ^ key.startswith("-")


def validate(options: TaskOptions) -> None:
    """Raise UsageError for an invalid order or filter, before the program is asked for anything."""
    sort_order(options.sort)
    query.parse(options.filter)


def receive_tasks(connection: Connection, options: TaskOptions, worker: int | None = None) -> TaskList:
    """Receive one task list on a connection on which `ask` was called, and close it. `worker`: its slot in a set."""
    store = Store()
    store.worker = worker
    store.apply(connection.hello)
    store.tasks.share_over = 0.8 / RATE
    with closing(connection):
        load(connection, store, options.ended and not store.read_only)
        waits_matter = "waiting_on" in options.filter or options.sort.endswith("waiting_on")
        if waits_matter:
            details(connection, store, list(store.tasks))
        elif options.tree:
            orphans = [task.id for task in store.tasks.values() if is_orphan(task)]
            details(connection, store, orphans[:MOST_DETAILED])
        found = chosen(store, options)
        if not waits_matter:
            details(connection, store, [task.id for task in found.tasks[:MOST_DETAILED]])
    return found


def recorded_tasks(store: Store, options: TaskOptions) -> TaskList:
    """The task list from the store of a recording."""
    validate(options)
    return chosen(store, options)


def load(connection: Connection, store: Store, ended: bool = False) -> None:
    """Receive until every live task is known and the loops have been measured for a moment.

    `ended`: also until the newest end is known. Events come oldest first, after the tick that counts those left.
    """
    last_frame = began = time.monotonic()
    measured: float | None = None
    loaded = False
    events_left: int | None = 1 if ended else None  # of the tick before; None: nothing is waited for
    whole = 0
    while True:
        now = time.monotonic()
        if loaded and measured is not None and ((whole > 1 and not _may_be_blocked(store)) or now >= measured):
            return
        limit = measured if loaded and measured is not None else last_frame + PATIENCE
        came = connection.receive(max(limit - now, 0.0))
        if came:
            last_frame = time.monotonic()
        elif not loaded and time.monotonic() >= limit:
            raise ConnectError(f"{connection.where} sends nothing", "one call of the program holds it up: try again")
        if time.monotonic() - began > LONGEST:
            raise ConnectError(f"{connection.where} did not send all of its tasks in {LONGEST:g} s", "try again")
        for frame in came:
            store.apply(frame)
            if isinstance(frame, frames.Tick):
                if frame.probe is not None and events_left is not None:
                    events_left = None if events_left == 0 else frame.events_left
                loaded = frame.left == 0 and events_left is None
                whole += bool(frame.loops)
                if measured is None:
                    # Nothing is measured from outside.
                    measured = time.monotonic() + (0.0 if store.read_only else MOMENT)


def _may_be_blocked(store: Store) -> bool:
    """Whether a loop is in a callback that has not run long enough for its line to be reported."""
    return any(loop.blocked > SHORT and loop.block is None for loop in store.loops.values())


def details(connection: Connection, store: Store, ids: list[int]) -> None:
    """Request await stacks, waits and awaiters of these tasks."""
    pieces = [ids[start : start + PIECE] for start in range(0, len(ids), PIECE)]
    asked = 0
    for answered in range(len(pieces)):
        while asked < min(answered + 2, len(pieces)):  # keep one request queued, so that the probe never idles
            request = {"type": "request", "id": asked + 1, "op": "tasks", "ids": pieces[asked]}
            connection.send({**request, "limit": len(pieces[asked])})
            asked += 1
        reply = replies(connection, store, answered + 1)
        if not reply.ok:
            store.note(f"no await stacks: {reply.error}")
            return


def replies(connection: Connection, store: Store, number: int) -> frames.Reply:
    """Receive until the last piece of the reply to a request; applies all other frames meanwhile."""
    until = time.monotonic() + LONGEST
    while True:
        came = connection.receive(min(PATIENCE, max(until - time.monotonic(), 0.0)))
        if not came or time.monotonic() > until:
            raise ConnectError(f"{connection.where} does not reply", "one call of the program holds it up: try again")
        for place, frame in enumerate(came, 1):
            store.apply(frame)
            if isinstance(frame, frames.Reply) and frame.id == number and not frame.more:
                if came[place:]:
                    connection.push_back(came[place:])
                return frame


def chosen(store: Store, options: TaskOptions) -> TaskList:
    """The tasks to print, in order."""
    column, descending = sort_order(options.sort)
    tasks = ordered(query.matching(store, options.filter), column, store, descending)
    depths: dict[int, int] = {}
    above = awaiters(store) if options.tree else {}
    if options.tree:
        tasks, depths = as_tree(tasks, above)
    ended = choose_ended(store, options) if options.ended else []
    return TaskList(store, tasks[: options.limit], ended, depths, bool(above), options.stacks, passed=len(tasks))


def as_tree(tasks: list[Task], awaited_by: Mapping[int, int] | None = None) -> tuple[list[Task], dict[int, int]]:
    """The same tasks, each below its parent (if that is listed), and the depth of each.

    `awaited_by` gives the awaiting task, used where the parent is unknown.
    """
    others = awaited_by or {}
    here = {task.id for task in tasks}
    below: dict[int, list[Task]] = {}
    for task in tasks:
        above = others.get(task.id, task.parent)
        below.setdefault(above if above in here and above != task.id else protocol.NO_TASK, []).append(task)
    flat: list[Task] = []
    depths: dict[int, int] = {}
    stack = [(task, 0) for task in reversed(below.get(protocol.NO_TASK, []))]
    while stack:
        task, depth = stack.pop()
        if task.id in depths:
            continue
        depths[task.id] = depth
        flat.append(task)
        stack += [(child, depth + 1) for child in reversed(below.get(task.id, []))]
    flat += [task for task in tasks if task.id not in depths]  # parents in a cycle, which only a broken probe sends
    return flat, depths


def choose_ended(store: Store, options: TaskOptions) -> list[EndedTask]:
    """The ended tasks to print: in the requested order if they have that column, else newest first."""
    predicate = query.parse(options.filter)
    tasks = [task for task in reversed(store.ended) if predicate(_as_live(task, store), store)]
    column = by_key(ENDED, options.sort.removeprefix("-"))
    if column is not None and options.sort != DEFAULT_SORT:
        tasks = ordered(tasks, column, store, column.descending ^ options.sort.startswith("-"))
    return tasks[: options.limit]


def _as_live(task: EndedTask, store: Store) -> Task:
    """An ended task converted for filters, which expect live ones."""
    return Task(
        id=task.id,
        name=task.name,
        coro=task.coro,
        loop=task.loop,
        born=None if task.age is None else store.now - task.age,
        counted=None,
        parent=task.parent,
        site=task.site,
        born_before_attach=task.age is None,
        eager=False,
        seen=0.0,
        state=protocol.STATES.index(task.outcome) if task.outcome in protocol.STATES else protocol.DONE,
        steps=task.steps or 0,
        busy=task.busy or 0.0,
        scheduled=task.scheduled,
        max_step=task.max_step or 0.0,
        label=task.label,
    )
