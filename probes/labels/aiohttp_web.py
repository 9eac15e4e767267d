"""Labels requests of `aiohttp.web` by method and resource: each is a task of `RequestHandler._handle_request`."""

from __future__ import annotations

from gc import get_referents
from typing import Any
from weakref import ref

from . import paths
from .held import of_function

NAME = "aiohttp.web"


def matches(coro: Any) -> bool:
    """Whether tasks of its code are requests."""
    return of_function(coro, "RequestHandler._handle_request", "aiohttp")


def source(coro: Any) -> ref[Any] | None:
    """The request, weakly: it refers to its task."""
    for held in get_referents(coro):
        kind = type(held)
        if hasattr(kind, "match_info") and hasattr(held, "_match_info") and hasattr(held, "method"):
            return ref(held)
    return None


def plan(coro: Any) -> tuple[Any, ...] | None:
    """Where the hooks in C find request and status. Resource and method determine the label."""
    found = source(coro)
    request = None if found is None else found()
    if request is None:
        return None
    keys = (("_match_info", "_route", "_resource"), ("_method",))
    return type(request), True, (), keys, 1, (0, "_status"), ("_match_info", "_route")


def decides(request: ref[Any]) -> Any:
    """The route, where it is one of aiohttp's own for one method: its resource then finds it for that method only."""
    held = request()
    if held is None:
        return None
    route: Any = getattr(held._match_info, "_route", None)
    resource = getattr(route, "_resource", None)
    own = all(type(one).__module__ == "aiohttp.web_urldispatcher" for one in (route, resource))
    return route if own and route._method == held._method else None


def read(request: ref[Any]) -> str | None:
    """Method and canonical path of the resource; the path with its ids folded if no route matched."""
    held = request()
    if held is None:
        return None
    resource = getattr(getattr(held._match_info, "route", None), "resource", None)
    canonical = getattr(resource, "canonical", None)
    path = canonical if isinstance(canonical, str) and canonical else paths.folded(held.rel_url.raw_path)
    return paths.label(held.method, path)


def status(task: Any, request: Any) -> Any:  # noqa: ARG001
    """The status of the response: the task returns it."""
    return task.result()[0].status
