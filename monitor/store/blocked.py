"""Lists the loops that are blocked now, and all lines that block or have blocked a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from monitor import formatting as fmt
from monitor.store.slow_log import BlockingLine, BlockingNow
from monitor.store.task_names import called, title_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.model import Loop, Site
    from monitor.store.store import Store


def lasted(loop: Loop, show: Callable[[float], str] = fmt.duration) -> str:
    """Format how long a loop has been blocked: `at least 5.20s` if that began before the probe counted."""
    return f"{'at least ' if loop.block is not None and loop.block.at_least else ''}{show(loop.blocked)}"


def blocker(store: Store, loop: Loop) -> str:
    """Return what blocks a loop: the running task, or the callback if it is known."""
    task = store.tasks.get(loop.running or 0)
    return callback(store, loop) if task is None else title_of(task)


def callback(store: Store, loop: Loop) -> str:
    """Return the function of what blocks a loop: of the running task its name or coroutine."""
    task = store.tasks.get(loop.running or 0)
    if task is not None:
        return called(task.name, task.coro)
    stack = loop.block.stack if loop.block is not None else ()
    return f"{stack[0].function.rpartition('.')[2]}()" if stack else "a callback"


def blocking_lines(store: Store) -> list[BlockingLine]:
    """Return every line that has blocked a loop or blocks one now."""
    lines = dict.fromkeys([*store.slow.lines, *(loop.block.line for loop in store.loops.values() if loop.block)])
    return [group for line in lines if (group := blocking_line(store, line)) is not None]


def blocking_line(store: Store, line: Site | None) -> BlockingLine | None:
    """Return the figures of a line including the current block, or None if it never blocked."""
    group = store.slow.lines.get(line)
    here = [loop for loop in store.loops.values() if loop.block is not None and loop.block.line == line]
    if not here:
        return group
    loop = max(here, key=lambda loop: loop.blocked)
    assert loop.block is not None
    task = store.tasks.get(loop.running or 0)
    now = BlockingNow(loop.blocked, loop.block, None if task is None else task.id, blocker(store, loop))
    return replace(group or BlockingLine(line), now=now)
