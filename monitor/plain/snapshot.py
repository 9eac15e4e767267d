"""One look at a program: lets everything come, asks for what is to be printed, and leaves."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.errors import ConnectError, UsageError
from monitor.plain.wanted import DEFAULT_SORT, RATE, Wanted
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
"""Seconds after which the second tick is not waited for any more."""

SHORT = 0.01
"""Seconds: what runs for less is not waited for, to see whether it blocks the loop."""

PATIENCE = 30.0
"""Seconds without any frame after which a program counts as stuck."""

LONGEST = 60.0
"""Seconds that a look, or one reply, takes at most: a probe that keeps talking must not keep us for ever."""

PIECE = 2000
"""Task ids in one request, which may have 64 KiB."""
MOST_LOOKED_AT = 10_000
"""Tasks whose await stacks are asked for: to read one takes the program several times as long as its figures."""


@dataclass(slots=True)
class Look:
    """The store, and those of its tasks that were asked for, in order."""

    store: Store
    tasks: list[Task]
    ended: list[EndedTask]
    depths: dict[int, int]  # of the tree; empty without one
    of_awaiters: bool = False  # the tree: some tasks stand below one that awaits them, since who made them is not known
    stacks: bool = False  # printed with their await stacks
    passed: int = 0  # live tasks that pass the filter, those beyond the limit included


def sort_order(key: str) -> tuple[Column[Task], bool]:
    """The column of a `--sort`, and whether the largest comes first. `-KEY` turns the usual order round.

    Raises UsageError.
    """
    column = by_key(TASKS, key.removeprefix("-"))
    if column is None or column.sort is None:
        known = ", ".join(column.key for column in TASKS if column.sort is not None)
        raise UsageError(f"cannot sort by {key.removeprefix('-')!r}", f"try one of {known}")
    return column, column.descending ^ key.startswith("-")


def validate(wanted: Wanted) -> None:
    """Raises UsageError for an order or a filter that means nothing, before anything is asked of a program."""
    sort_order(wanted.sort)
    query.parse(wanted.filter)


def look(connection: Connection, wanted: Wanted) -> Look:
    """Takes one look through a connection, whose probe was asked for it, and closes it."""
    store = Store()
    store.apply(connection.hello)
    store.tasks.share_over = 0.8 / RATE
    with closing(connection):
        load(connection, store)
        waits_matter = "waiting_on" in wanted.filter or wanted.sort.endswith("waiting_on")
        if waits_matter:
            details(connection, store, list(store.tasks))
        elif wanted.tree:
            orphans = [task.id for task in store.tasks.values() if is_orphan(task)]
            details(connection, store, orphans[:MOST_LOOKED_AT])
        found = chosen(store, wanted)
        if not waits_matter:
            details(connection, store, [task.id for task in found.tasks[:MOST_LOOKED_AT]])
    return found


def look_back(store: Store, wanted: Wanted) -> Look:
    """The same of a recording: what its store knows."""
    validate(wanted)
    return chosen(store, wanted)


def load(connection: Connection, store: Store) -> None:
    """Receives until every live task is known and the loops have been watched for a moment."""
    heard = began = time.monotonic()
    measured: float | None = None
    loaded = False
    whole = 0
    while True:
        now = time.monotonic()
        if loaded and measured is not None and ((whole > 1 and not _may_be_blocked(store)) or now >= measured):
            return
        limit = measured if loaded and measured is not None else heard + PATIENCE
        came = connection.receive(max(limit - now, 0.0))
        if came:
            heard = time.monotonic()
        elif not loaded and time.monotonic() >= limit:
            raise ConnectError(f"{connection.where} sends nothing", "one call of the program holds it up: try again")
        if time.monotonic() - began > LONGEST:
            raise ConnectError(f"{connection.where} did not tell all of its tasks in {LONGEST:g} s", "try again")
        for frame in came:
            store.apply(frame)
            if isinstance(frame, frames.Tick):
                loaded = frame.left == 0
                whole += bool(frame.loops)
                if measured is None:
                    # From outside nothing is measured.
                    measured = time.monotonic() + (0.0 if store.read_only else MOMENT)


def _may_be_blocked(store: Store) -> bool:
    """Whether a loop is in a callback that is not long enough yet to be told where it is."""
    return any(loop.blocked > SHORT and loop.block is None for loop in store.loops.values())


def details(connection: Connection, store: Store, ids: list[int]) -> None:
    """Asks for await stacks, waits and who awaits, of these tasks."""
    pieces = [ids[start : start + PIECE] for start in range(0, len(ids), PIECE)]
    asked = 0
    for answered in range(len(pieces)):
        while asked < min(answered + 2, len(pieces)):  # the next one waits there when the one before is answered
            request = {"type": "request", "id": asked + 1, "op": "tasks", "ids": pieces[asked]}
            connection.send({**request, "limit": len(pieces[asked])})
            asked += 1
        reply = replies(connection, store, answered + 1)
        if not reply.ok:
            store.note(f"no await stacks: {reply.error}")
            return


def replies(connection: Connection, store: Store, number: int) -> frames.Reply:
    """Receives until the last piece of the reply to a request; applies everything that comes meanwhile."""
    until = time.monotonic() + LONGEST
    while True:
        came = connection.receive(min(PATIENCE, max(until - time.monotonic(), 0.0)))
        if not came or time.monotonic() > until:
            raise ConnectError(f"{connection.where} does not reply", "one call of the program holds it up: try again")
        for place, frame in enumerate(came, 1):
            store.apply(frame)
            if isinstance(frame, frames.Reply) and frame.id == number and not frame.more:
                if came[place:]:
                    connection.give_back(came[place:])
                return frame


def chosen(store: Store, wanted: Wanted) -> Look:
    """The tasks to print, in order."""
    column, descending = sort_order(wanted.sort)
    tasks = ordered(query.matching(store, wanted.filter), column, store, descending)
    depths: dict[int, int] = {}
    above = awaiters(store) if wanted.tree else {}
    if wanted.tree:
        tasks, depths = as_tree(tasks, above)
    ended = choose_ended(store, wanted) if wanted.ended else []
    return Look(store, tasks[: wanted.limit], ended, depths, bool(above), wanted.stacks, passed=len(tasks))


def as_tree(tasks: list[Task], awaited_by: Mapping[int, int] | None = None) -> tuple[list[Task], dict[int, int]]:
    """The same tasks, each below its parent (where that is among them), and how deep each is.

    `awaited_by`: what those stand below whose parent is not known.
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
    flat += [task for task in tasks if task.id not in depths]  # parents in a ring: only a broken probe says so
    return flat, depths


def choose_ended(store: Store, wanted: Wanted) -> list[EndedTask]:
    """The ended tasks to print: by the order asked for, where they have that column, else the last one first."""
    predicate = query.parse(wanted.filter)
    tasks = [task for task in reversed(store.ended) if predicate(_as_live(task, store), store)]
    column = by_key(ENDED, wanted.sort.removeprefix("-"))
    if column is not None and wanted.sort != DEFAULT_SORT:
        tasks = ordered(tasks, column, store, column.descending ^ wanted.sort.startswith("-"))
    return tasks[: wanted.limit]


def _as_live(task: EndedTask, store: Store) -> Task:
    """An ended task in the shape that filters know."""
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
    )
