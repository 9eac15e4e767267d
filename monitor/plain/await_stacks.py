"""Tasks with their await stacks as text, like `python -m asyncio pstree`; library frames are folded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.plain.tables import cut
from monitor.store.columns import GLYPHS, wait_text
from monitor.store.folding import Fold, folded
from monitor.store.labels import line_text
from monitor.store.task_names import title_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.store.model import Site, Task
    from monitor.store.store import Store

DEEPEST = 60
"""Deeper levels are not indented further."""


@dataclass(slots=True)
class _Branch:
    text: str
    below: list[_Branch] = field(default_factory=list)


def lines(store: Store, tasks: Sequence[Task], depths: dict[int, int], width: int) -> list[str]:
    """The tasks in order, each with its await stack and the tasks below it as a tree under its innermost frame."""
    roots: list[_Branch] = []
    above: list[list[_Branch]] = [roots]  # the parents for a task at each depth
    for task in tasks:
        depth = min(depths.get(task.id, 0), len(above) - 1)
        branch = _Branch(_task(task, store))
        above[depth].append(branch)
        innermost = branch
        for text in _frames(task, store):
            frame = _Branch(text)
            innermost.below.append(frame)
            innermost = frame
        above[depth + 1 :] = [innermost.below]
    return [cut(fmt.clean(line), width).rstrip() for line in _drawn(roots)]


def _task(task: Task, store: Store) -> str:
    wait = wait_text(task, store)
    on = f"  {wait}" if wait else ""
    return f"(T) {title_of(task)}  {GLYPHS[task.state_name]} {task.state_name}{on}"


def _frames(task: Task, store: Store) -> Iterator[str]:
    """The task's own frames: its await stack continues into a task that it awaits, which is printed below it."""
    detail = store.details.get(task.id)
    if detail is None:
        return
    end = next((depth for number, depth in detail.await_tasks if number != task.id), len(detail.await_stack))
    sites: tuple[Site, ...] = detail.await_stack[:end]
    stdlib = store.session.paths.get("stdlib", []) if store.session is not None else []
    for part in folded([site.file for site in sites], stdlib):
        if isinstance(part, Fold):
            yield f"… {part.text}"
        else:
            yield f"{sites[part].function.rpartition('.<locals>.')[2]} {line_text(sites[part], store)}"


def _drawn(roots: list[_Branch]) -> Iterator[str]:
    pending: list[tuple[_Branch, str, bool]] = [(branch, "", branch is roots[-1]) for branch in reversed(roots)]
    while pending:
        branch, before, last = pending.pop()
        yield f"{before}{'└── ' if last else '├── '}{branch.text}"
        deeper = before + ("    " if last else "│   ") if len(before) < 4 * DEEPEST else before
        pending += [(one, deeper, one is branch.below[-1]) for one in reversed(branch.below)]
