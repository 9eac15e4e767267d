"""Labels requests of Django 5 and later: `ASGIHandler` makes a task of `process_request` inside the server's task.

The server's scope has no route: the server's task gets its label from Django's, and the request counts there, once.
Where the server's task is not known, it counts with Django's. What makes a task of its own in between gets the route
by the address of the scope.
"""

from __future__ import annotations

from asyncio import _get_running_loop, current_task
from gc import get_referents
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..hooks import accounting
from . import paths
from .held import of_function

if TYPE_CHECKING:
    from ..hooks.records import TaskRecord

NAME = "django"
SERVER = "asgi"
"""The adapter of the tasks of servers."""
_MOST_KEPT = 1000
_routes: dict[int, tuple[str, str]] = {}
"""Path and route, by the address of a scope, which the record of a server's task keeps alive."""


class Request:
    """A request, held weakly since it refers to its task, and the record of the server's task, if that counts it."""

    __slots__ = ("outer", "request")

    def __init__(self, request: Any, outer: TaskRecord | None) -> None:
        self.request = ref(request)
        self.outer = outer


def matches(coro: Any) -> bool:
    """Whether tasks of its code are requests."""
    return of_function(coro, "ASGIHandler.handle.<locals>.process_request", "django")


def source(coro: Any) -> Request | None:
    """The request, and who made its task."""
    for one in get_referents(coro):
        if hasattr(type(one), "get_full_path"):
            return Request(one, _server())
    return None


def _server() -> TaskRecord | None:
    """The record of the current task, if it is a server's for a request."""
    record = None if _get_running_loop() is None else accounting.record_of(current_task())
    if record is None or record.group is None or record.group.adapter != SERVER or record.source is None:
        return None
    return record


def outer(request: Request) -> TaskRecord | None:
    """The record of the task that the request counts with."""
    return request.outer


def read(request: Request) -> str | None:
    """Method and route; the path without its ids before it is resolved."""
    found = request.request()
    if found is None:
        return None
    route = getattr(getattr(found, "resolver_match", None), "route", None)
    if not isinstance(route, str):
        return paths.label(found.method, paths.folded(found.path))
    label = paths.label(found.method, f"/{route}")
    if request.outer is None:
        if len(_routes) >= _MOST_KEPT:
            _routes.clear()
        _routes[id(found.scope)] = (found.scope["path"], f"/{route}")
    elif request.outer.label is None and not request.outer.outcome:
        request.outer.label = label
    return label


def status(task: Any, request: Any) -> Any:  # noqa: ARG001
    """The status of the response, if the task returns it."""
    return getattr(task.result(), "status_code", None)


def route_of(scope: dict[str, Any]) -> str | None:
    """The route of a request by its scope."""
    path, route = _routes.get(id(scope), ("", None))
    return route if path == scope["path"] else None
