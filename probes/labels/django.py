"""Labels requests of Django 5 and later: `ASGIHandler` makes a task of `process_request` inside the server's task.

The server's scope has no route. When the inner task ends, its route is remembered under the scope for the server's
task, which ends later.
"""

from __future__ import annotations

from gc import get_referents
from typing import Any
from weakref import ref

from . import paths
from .held import of_function

NAME = "django"
_MOST_KEPT = 1000
_routes: dict[int, tuple[str, str]] = {}
"""Path and route, by the address of a scope, which the record of the server's task keeps alive."""


def matches(coro: Any) -> bool:
    """Whether tasks of its code are requests."""
    return of_function(coro, "ASGIHandler.handle.<locals>.process_request", "django")


def source(coro: Any) -> ref[Any] | None:
    """The request, held weakly, since it refers to its task."""
    return next((ref(one) for one in get_referents(coro) if hasattr(type(one), "get_full_path")), None)


def read(request: ref[Any]) -> str | None:
    """Method and route; the path without its ids before it is resolved."""
    found = request()
    if found is None:
        return None
    route = getattr(getattr(found, "resolver_match", None), "route", None)
    path = paths.folded(found.path) if not isinstance(route, str) else f"/{route}"
    if isinstance(route, str):
        if len(_routes) >= _MOST_KEPT:
            _routes.clear()
        _routes[id(found.scope)] = (found.scope["path"], path)
    return paths.label(found.method, path)


def status(task: Any, request: Any) -> Any:  # noqa: ARG001
    """The status of the response, if the task returns it."""
    return getattr(task.result(), "status_code", None)


def route_of(scope: dict[str, Any]) -> str | None:
    """The route of a request by its scope."""
    path, route = _routes.get(id(scope), ("", None))
    return route if path == scope["path"] else None
