"""Parses and applies filters: `state:waiting busy>0.5 name:worker-* parse worker:3`. All terms must match."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate

from monitor.errors import UsageError
from monitor.parsing import DURATIONS, quantity
from monitor.store.column import by_key
from monitor.store.columns import TASKS
from monitor.store.model import Task
from monitor.store.store import Store

Predicate = Callable[[Task, Store], bool]

_TERM = re.compile(r"^(?P<key>[a-z_]+)(?P<op>:|>=|<=|>|<|=)(?P<value>.*)$")
_UNITS = DURATIONS | {"%": 0.01, "k": 1e3}
TEXT_KEYS = ("name", "coro", "label", "group", "state", "creation_site", "waiting_on", "loop", "parent")
NUMBER_KEYS = ("id", "age", "share", "busy", "scheduled", "idle", "steps", "max_step", "parent", "loop")


def parse(text: str) -> Predicate:
    """Compile a filter. Raises UsageError with one line if a term has no meaning."""
    predicates = [_term(word) for word in text.split()]
    if not predicates:
        return lambda task, store: True
    return lambda task, store: all(predicate(task, store) for predicate in predicates)


def matching(store: Store, text: str) -> list[Task]:
    """Return the live tasks that match a filter. Raises UsageError."""
    predicate = parse(text)
    return [task for task in store.tasks.values() if predicate(task, store)]


def _term(word: str) -> Predicate:
    if word.startswith("-") and len(word) > 1:
        inner = _term(word[1:])
        return lambda task, store: not inner(task, store)
    match = _TERM.match(word)
    if match is None or (match["op"] == ":" and match["value"].startswith("//")):  # a URL
        return _anywhere(word)
    key, op, value = match["key"], match["op"], match["value"]
    if key == "worker":
        return _worker(op, value, word)
    if key not in TEXT_KEYS and key not in NUMBER_KEYS:
        raise _unknown_column(key, op, word)
    if op == ":" and key in TEXT_KEYS:
        return _text(key, value)
    if key not in NUMBER_KEYS:
        raise UsageError(f"{key} is text: {word}", f"write {key}:{value}")
    return _number(key, "=" if op == ":" else op, value, word)


def _unknown_column(key: str, op: str, word: str) -> UsageError:
    if op != ":":
        return UsageError(f"no such column in a filter: {key}", f"try one of {', '.join(NUMBER_KEYS)}")
    keys = dict.fromkeys((*TEXT_KEYS, *NUMBER_KEYS))
    return UsageError(
        f"no such column in a filter: {key}", f"try one of {', '.join(keys)}; for a name with a colon name:{word}"
    )


def _worker(op: str, value: str, word: str) -> Predicate:
    """Match the slot of a process in its set."""
    if op not in (":", "=") or not value.isdecimal():
        raise UsageError(f"not a worker in a filter: {word}", "for example worker:3")
    return lambda task, store: store.worker == int(value)


def _anywhere(word: str) -> Predicate:
    needle = word.lower()

    def holds(task: Task, _store: Store) -> bool:
        if needle in task.name.lower() or needle in task.coro.lower():
            return True
        if task.label is not None and needle in task.label.lower():
            return True
        return task.site is not None and needle in f"{task.site.file}:{task.site.line} {task.site.function}".lower()

    return holds


def _text(key: str, value: str) -> Predicate:
    if key in ("parent", "loop"):
        return lambda task, store: str(getattr(task, key)) == value
    if key == "state":
        return lambda task, store: task.state_name.startswith(value.lower())
    column = by_key(TASKS, key)
    text = _group_of if column is None else column.text
    if any(char in value for char in "*?["):
        matches = re.compile(translate(value.lower())).match
        return lambda task, store: matches(text(task, store).lower()) is not None
    needle = value.lower()
    return lambda task, store: needle in text(task, store).lower()


def _group_of(task: Task, _store: Store) -> str:
    return f"{task.coro} {task.label}" if task.label else task.coro


def _number(key: str, op: str, value: str, word: str) -> Predicate:
    limit = quantity(value, _UNITS)
    if limit is None:
        raise UsageError(f"not a number in a filter: {word}", f"for example {key}>0.5 or {key}>200ms")
    compare = _COMPARE[op]
    column = by_key(TASKS, key)

    def holds(task: Task, store: Store) -> bool:
        found = getattr(task, key) if column is None or column.sort is None else column.sort(task, store)
        return found is not None and compare(float(found), limit)

    return holds


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
}
