"""The tasks as a tree: below each task those that it waits for, with await stacks, waits and holders."""

from __future__ import annotations

from time import gmtime, strftime, time
from typing import TYPE_CHECKING, Any

from ..base.task_facts import coro_name, is_done, task_name
from ..hooks import install, reading
from ..hooks.reading import hold
from ..inspection import waits
from ..inspection.detail import MOST_TEXT, LockRef, number_of, yield_gil_if_due
from ..sampling.callback_stack import stack_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..hooks.loops import Loops
    from ..hooks.records import TaskRecord

MOST_TASKS = 2000
MOST_BEHIND = 200
MOST_DEPTH = 40
MOST_HOLDERS = 50
"""Most locks whose holder is looked for: each takes a walk over all tasks."""


class Node:
    """What is written of one task. Holds no reference to it."""

    __slots__ = ("behind", "line", "stack")

    def __init__(self, line: str, stack: list[str], behind: list[int]) -> None:
        self.line = line
        self.stack = stack
        self.behind = behind  # ids of the tasks that it waits for


def lines(pid: int, known: Loops) -> Iterator[str]:
    """The text, line by line. To be used up in the probe's thread."""
    records = [record for record in install.walk(install.records) if reading.is_alive(record)]
    nodes: dict[int, Node] = {}
    holders: dict[int, str] = {}
    for record in records[:MOST_TASKS]:
        node = _node(record, holders)
        if node is not None:
            nodes[record.id] = node
    at = strftime("%Y-%m-%d %H:%M:%S", gmtime(time()))
    yield f"looptop: tasks of process {pid} at {at} UTC"
    yield from _loops(known)
    shown: set[int] = set()
    waited_for = {number for node in nodes.values() for number in node.behind}
    by_age = sorted(nodes)
    for number in [*(number for number in by_age if number not in waited_for), *by_age]:  # the rest: tasks in a circle
        if number not in shown:
            yield from _tree(number, nodes, shown)
    if len(records) > MOST_TASKS:
        yield f"and {len(records) - MOST_TASKS} more tasks"
    yield f"looptop: end of {len(nodes)} tasks"


def _loops(known: Loops) -> Iterator[str]:
    """Each loop, with the stack of its thread inside the callback that runs."""
    for loop, record in known.all():
        state = "running" if loop.is_running() else "not running"
        stack = stack_of(reading.thread_stack(record.thread), record.depth) if record.thread else ()
        current = reading.running_record(loop)
        task = f", in #{current.id} {reading.read(current, task_name) or ''}" if current is not None else ""
        yield f"loop {record.id} {record.kind}, {state}{task}"
        for code, line in stack:
            yield f"    {code.co_filename}:{line} {code.co_qualname}"


def _tree(root: int, nodes: dict[int, Node], shown: set[int]) -> Iterator[str]:
    """A task and what it waits for, depth first."""
    pending = [(root, 0)]
    while pending:
        number, depth = pending.pop()
        node = nodes.get(number)
        if node is None:
            continue
        indent = "  " * min(depth, MOST_DEPTH)
        if number in shown:
            yield f"{indent}#{number} (above)"
            continue
        shown.add(number)
        yield indent + node.line
        for line in node.stack:
            yield f"{indent}    {line}"
        pending += [(other, depth + 1) for other in reversed(node.behind)]


def _node(record: TaskRecord, holders: dict[int, str]) -> Node | None:
    """Reads a task; None if it has ended. Keeps no reference to it."""
    yield_gil_if_due()
    found: tuple[Node | None, LockRef | None] = reading.read(record, _read, record) or (None, None)
    node, lock = found
    if node is None or lock is None:
        return node
    if lock.key not in holders and len(holders) < MOST_HOLDERS:
        number = lock.holder(record)
        holders[lock.key] = f", held by #{number}" if number is not None else ""
    node.line += holders.get(lock.key, "")
    return node


def _read(task: Any, record: TaskRecord) -> tuple[Node | None, LockRef | None]:
    if is_done(task):
        return None, None
    frames = reading.frames_of(task)
    leaf = hold(task._fut_waiter)
    wait = waits.read(frames, leaf)
    if wait is not None:
        doing = f"waits: {wait.kind} {_plain(wait.text)}"
    else:
        loop = task.get_loop()
        doing = "running" if install.current_task_of(loop) is task else "scheduled"
    behind = [number_of(other) for other in wait.tasks[:MOST_BEHIND]] if wait is not None else []
    name, coro = _plain(task_name(task)), _plain(coro_name(task))
    return Node(
        f"#{record.id} {name} {coro} {doing}",
        [f"{code.co_filename}:{line} {code.co_qualname}" for code, line, _ in frames],
        [number for number in behind if number is not None],
    ), (LockRef(wait.waited) if wait is not None and wait.kind == "lock" else None)


def _plain(text: str) -> str:
    """A text of the program without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:MOST_TEXT])
