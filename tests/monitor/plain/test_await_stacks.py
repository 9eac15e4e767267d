"""A tree of awaiters, and await stacks as text."""

from __future__ import annotations

from msgspec.structs import replace

from monitor.plain import await_stacks
from monitor.plain.snapshot import as_tree
from monitor.store.lineage import awaiters
from monitor.store.model import Site, Task, TaskDetail
from monitor.store.store import Store
from monitor.tui.rows.tasks import TreeRows

ASYNCIO = "/usr/lib/python3.12/asyncio/taskgroups.py"


def task(number: int, *, old: bool = True, parent: int = 0) -> Task:
    return Task(
        id=number, name=f"t{number}", coro="work", loop=1, born=None, counted=None, parent=parent, site=None,
        born_before_attach=old, eager=False, seen=1.0,
    )  # fmt: skip


def detail(number: int, *awaited_by: int) -> TaskDetail:
    frames = (Site("/srv/app.py", number, "work"), *(Site(ASYNCIO, line, "wait") for line in (1, 2, 3)))
    behind = (Site("/srv/app.py", 99, "another"),)  # of the task that it awaits
    return TaskDetail(
        id=number, await_stack=frames + behind, await_tasks=((50, len(frames)),), waiting_on=None,
        awaited_by=awaited_by, origin=None, step_counts=None, schedule_counts=None,
    )  # fmt: skip


def attached_late() -> Store:
    """1 awaits 2, which awaits 3; 4 was born later, of 3; 5 and 6 wait for each other."""
    store = Store()
    for one in (task(1), task(2), task(3), task(4, old=False, parent=3), task(5), task(6)):
        store.tasks.add(one)
    store.details |= {2: detail(2, 1), 3: detail(3, 2), 5: detail(5, 6), 6: detail(6, 5)}
    return store


def test_tasks_older_than_the_probe_stand_below_who_awaits_them() -> None:
    store = attached_late()
    above = awaiters(store)
    assert {key: above.get(key) for key in (1, 2, 3, 4)} == {1: None, 2: 1, 3: 2, 4: None}
    assert len({5, 6} & above.keys()) == 1  # a ring has a root
    tasks, depths = as_tree(list(store.tasks.values()), above)
    assert [one.id for one in tasks][:4] == [1, 2, 3, 4]
    assert {key: depths[key] for key in (1, 2, 3, 4)} == {1: 0, 2: 1, 3: 2, 4: 3}
    assert sorted(depths) == [1, 2, 3, 4, 5, 6]


def test_where_parents_are_known_the_tree_is_of_them() -> None:
    store = attached_late()
    for one in list(store.tasks.values()):
        store.tasks.add(replace(one, born_before_attach=False))
    assert awaiters(store) == {}


def test_the_tree_of_the_dashboard_is_the_same() -> None:
    rows = TreeRows(attached_late())
    rows.arrange(rows.store)
    assert [row.id for row in rows.rows][:4] == [1, 2, 3, 4]
    assert len(rows) == 6
    assert rows.above(rows.store.tasks[3]) == 2
    assert rows.fold(2, True)
    rows.arrange(rows.store)
    assert [row.id for row in rows.rows][:2] == [1, 2]
    assert len(rows) == 4


def test_await_stacks_are_drawn_with_the_tasks_below_the_innermost_frame() -> None:
    store = attached_late()
    tasks, depths = as_tree([store.tasks[number] for number in (1, 2, 3)], awaiters(store))
    assert await_stacks.lines(store, tasks, depths, 100) == [
        "└── (T) #1 t1  · waiting",
        "    └── (T) #2 t2  · waiting",
        "        └── work /srv/app.py:2",
        "            └── … 2 frames of asyncio",
        "                └── wait asyncio/taskgroups.py:3",
        "                    └── (T) #3 t3  · waiting",
        "                        └── work /srv/app.py:3",
        "                            └── … 2 frames of asyncio",
        "                                └── wait asyncio/taskgroups.py:3",
    ]


def test_without_a_tree_every_task_stands_alone() -> None:
    store = attached_late()
    lines = await_stacks.lines(store, [store.tasks[2], store.tasks[1]], {}, 100)
    assert lines[0] == "├── (T) #2 t2  · waiting"
    assert lines[1] == "│   └── work /srv/app.py:2"
    assert lines[-1] == "└── (T) #1 t1  · waiting"
