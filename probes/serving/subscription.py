"""The subscription of a viewer: the fields of its `watch` frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.validation import BadRequestError, flag, number, text
from ..flame.on_loop import LEAST_HZ, MOST_HZ
from .task_query import order

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_IN_SIGHT = 200
MOST_KINDS = 50


class Watch:
    """What a viewer looks at. All fields of a `watch` frame are checked before any is applied."""

    def __init__(self, slow: float) -> None:
        self.rate = 4.0
        self.slow = slow
        self.window: list[int] = []
        self.detail: int | None = None
        self.origins = 0
        self.filter: str | None = None
        self.first: dict[str, Any] = {}
        self.events: bool | frozenset[str] = True  # or the kinds that are wanted
        self.rows = True
        self.locals = False
        self.memory = False
        self.findings = False
        self.groups = self.groups_by_site = False
        self.threads = 0
        self.gil = False
        self.flame = 0
        self.flame_wait = self.flame_jobs = self.flame_tasks = False
        self.history = False
        self.steps: str | None = None

    def update(self, frame: dict[str, Any]) -> None:
        """Applies the fields of a frame. Raises BadRequestError and changes nothing if one is invalid."""
        taken = {name: check(frame, name) for name, check in _FIELDS.items() if name in frame}
        for name, value in taken.items():
            setattr(self, name, value)


def _window(frame: dict[str, Any], name: str) -> list[int]:
    window = frame[name]
    fits = isinstance(window, list) and len(window) <= MOST_IN_SIGHT and all(type(task) is int for task in window)
    if not fits:
        raise BadRequestError(f"{name}: at most {MOST_IN_SIGHT} ids of tasks")
    return list(window)


def _detail(frame: dict[str, Any], name: str) -> int | None:
    task = frame[name]
    if task is not None and type(task) is not int:
        raise BadRequestError(f"{name}: the id of a task, or null")
    return task


def _events(frame: dict[str, Any], name: str) -> bool | frozenset[str]:
    kinds = frame[name]
    if isinstance(kinds, bool):
        return kinds
    if not isinstance(kinds, list) or len(kinds) > MOST_KINDS or not all(isinstance(kind, str) for kind in kinds):
        raise BadRequestError(f"{name}: true, false or a list of kinds of events")
    return frozenset(kinds)


def _flame(frame: dict[str, Any], name: str) -> int:
    hz = int(number(frame, name, 0, MOST_HZ))
    return max(hz, LEAST_HZ) if hz else 0


def _first(frame: dict[str, Any], name: str) -> dict[str, Any]:
    first = frame[name]
    if not isinstance(first, dict):
        raise BadRequestError(f"{name}: an object with sort and limit")
    order(first)
    return first


def _steps(frame: dict[str, Any], name: str) -> str | None:
    steps = frame[name]
    if steps is not None and steps not in ("now", "past"):
        raise BadRequestError(f'{name}: "now", "past" or null')
    return None if steps is None else str(steps)


_FIELDS: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "rate": lambda frame, name: float(number(frame, name, 0.1, 20)),
    "slow": lambda frame, name: number(frame, name, 10_000, 3600_000_000) * 1e-6,
    "origins": lambda frame, name: int(number(frame, name, 0, 50)),
    "window": _window,
    "detail": _detail,
    "filter": text,
    "first": _first,
    "events": _events,
    "rows": flag,
    "locals": flag,
    "memory": flag,
    "findings": flag,
    "groups": flag,
    "groups_by_site": flag,
    "gil": flag,
    "threads": lambda frame, name: int(number(frame, name, 0, 60)),
    "flame": _flame,
    "flame_wait": flag,
    "flame_jobs": flag,
    "flame_tasks": flag,
    "history": flag,
    "steps": _steps,
}
