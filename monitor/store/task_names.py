"""Names tasks by one rule on every face: `#12 GET /items/{item_id}` (docs/glossary.md)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from monitor import formatting as fmt

if TYPE_CHECKING:
    from monitor.store.model import EndedTask, Task
    from monitor.store.store import Store

SHORT_NAME = 16
"""Longest name of a coroutine, in cells, that is shown with its class."""

NOT_KNOWN = "?"
"""Coroutine of a task that ended in its eager first step, in Python 3.12.0 and 3.12.1."""

_GIVEN = re.compile(r"Task-\d+")


def is_given(name: str | None) -> bool:
    """Whether the program gave a task its name. Those of asyncio, such as Task-7, are not the ids shown."""
    return bool(name) and not _GIVEN.fullmatch(name or "")


def called(name: str, coro: str) -> str:
    """What a task is called in a column beside those of its id and label: its given name, else its coroutine."""
    return name if is_given(name) else _coroutine(coro) or name or fmt.UNKNOWN


def words(name: str | None, coro: str, label: str | None) -> str:
    """What a task is called: its given name and its label, else its coroutine; empty if nothing is known of it."""
    given = name if is_given(name) else None
    return " ".join(filter(None, (given, label))) or _coroutine(coro)


def title(number: int | None, name: str | None, coro: str, label: str | None = None) -> str:
    """Name one task: `#12 worker-3`, `#12 GET /items/{item_id}`, `#12 handle()`, `#12` if no more is known."""
    what = words(name, coro, label)
    return f"#{number} {what}".rstrip() if number else what or name or ""


def title_of(task: Task | EndedTask) -> str:
    """Name a task of the store."""
    return title(task.id, task.name, task.coro, task.label)


def title_in(store: Store, number: int) -> str:
    """Name a task by its id; one that ended long ago by its id only."""
    known = store.tasks.get(number) or store.ended.of(number)
    return f"#{number}" if known is None else title_of(known)


def who(number: int | None, name: str | None, what: str | None, label: str | None = None) -> str:
    """Name the subject of an event: the task, or the callback if it was none. Empty if unknown."""
    if not number and not name:
        return what or ""
    return title(number, name, (what or "").removesuffix("()"), label)


def _coroutine(coro: str) -> str:
    if coro == NOT_KNOWN:
        return ""
    short = coro.rpartition("<locals>.")[2]
    short = short if len(short) <= SHORT_NAME else short.rpartition(".")[2]
    return f"{short}()" if short else ""
