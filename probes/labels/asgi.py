"""Labels requests of ASGI servers by method and route, which Starlette, FastAPI and Litestar put into the scope.

uvicorn makes a task for each request with `RequestResponseCycle.run_asgi`, whose `self` has the scope; hypercorn and
daphne make one whose function takes it, granian one whose argument has it. Where a framework names no route in the
scope, ids in the path are folded; Django's routes are known from its own tasks (django.py).
"""

from __future__ import annotations

from gc import get_referents
from typing import TYPE_CHECKING, Any

from . import django, paths, uvicorn_status
from .held import code_of, of_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..hooks.records import TaskRecord
    from ..hooks.registry import Hook

NAME = django.SERVER
_ARGUMENTS = {"scope", "receive", "send"}
_WEBSOCKET = "websocket"


class Request:
    """A scope, and the object that knows the status of the response."""

    __slots__ = ("answers", "scope")

    def __init__(self, scope: dict[str, Any], answers: Any) -> None:
        self.scope = scope
        self.answers = answers


class _Answered:
    """A response whose status a framework has told."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


def answered(record: TaskRecord, status: int) -> None:
    """Notes the status of a response with the server's task, unless the server knows it itself."""
    scope = record.source
    if type(scope) is dict and id(scope) not in uvicorn_status.noted:
        record.source = Request(scope, _Answered(status))


def matches(coro: Any) -> bool:
    """Whether tasks of its code are requests."""
    if of_function(coro, ".run_asgi", "uvicorn") or of_function(coro, ".future_watcher", "granian"):
        return True
    code = code_of(coro)
    return code is not None and set(code.co_varnames[: code.co_argcount]) >= _ARGUMENTS


def source(coro: Any) -> dict[str, Any] | Request | None:
    """The scope of the request."""
    found, answers = None, None
    for held in get_referents(coro):
        kind = type(held)
        if kind is dict:
            found = held if _is_scope(held) else found
        elif kind.__module__.startswith(("uvicorn.", "granian.", "builtins")) and _is_scope(
            getattr(held, "scope", None)
        ):
            found, answers = held.scope, getattr(held, "proto", None)
        answers = answers or _answering(held)
    return found if found is None or answers is None else Request(found, answers)


def _is_scope(held: Any) -> bool:
    return type(held) is dict and held.get("type") in ("http", _WEBSOCKET) and isinstance(held.get("path"), str)


def _answering(held: Any) -> Any:
    """The object behind a `send` that keeps the status: a stream of hypercorn, a request of daphne."""
    kind = type(held).__name__
    owner = held.__self__ if kind in ("method", "builtin_function_or_method") else None
    if kind == "partial" and held.args:
        owner = held.args[0]
    return owner if type(owner).__module__.startswith(("hypercorn.", "daphne.")) else None


def _uvicorns(coro: Any) -> type | None:
    """The class of a request of uvicorn."""
    for held in get_referents(coro):
        if type(held).__module__.startswith("uvicorn.") and _is_scope(getattr(held, "scope", None)):
            return type(held)
    return None


def plan(coro: Any) -> tuple[Any, ...] | None:
    """Where the hooks in C find uvicorn's scope, what determines the label, and the status."""
    cycle = _uvicorns(coro)
    if cycle is None:
        return None
    routes = (("[fastapi", "[effective_route_context"), ("[route",), ("[path_template",))
    others = (("[method",), ("[root_path",), ("[app_root_path",))
    return cycle, False, ("scope",), routes + others, len(routes), uvicorn_status.noted


def hooks(coro: Any, fail: Callable[[str, Exception], None]) -> Iterator[Hook]:
    """What is to be replaced to know the status of responses."""
    cycle = _uvicorns(coro)
    return iter(()) if cycle is None else uvicorn_status.hooks(cycle, coro.cr_code, fail)


def read(request: dict[str, Any] | Request) -> str | None:
    """Method and route of the request; before routing, the path with its ids folded."""
    scope = request if isinstance(request, dict) else request.scope
    method = "WS" if scope["type"] == _WEBSOCKET else scope.get("method")
    return paths.label(method, _template(scope) or django.route_of(scope) or paths.folded(scope["path"]))


def status(task: Any, request: Any) -> Any:
    """The status of the response; None if it is not known."""
    if not isinstance(request, Request):
        return uvicorn_status.take(task, request)
    answers = request.answers
    response = getattr(answers, "response", None)  # hypercorn
    if type(response) is dict:
        return response.get("status")
    # daphne, granian
    return getattr(answers, "sent_response_code", None) or getattr(answers, "code", None)


def _template(scope: dict[str, Any]) -> str | None:
    litestar = scope.get("path_template")
    if isinstance(litestar, str):
        return litestar or "/"
    route = scope.get("route")
    template = getattr(route, "path", None) if route is not None else _starlette_route(scope)
    fastapi = scope.get("fastapi")
    if type(fastapi) is dict:  # from 0.13x on it keeps included routers apart, and `route` is without their prefix
        template = getattr(fastapi.get("effective_route_context"), "path_format", None) or template
    if not isinstance(template, str):
        return None
    root, outer = scope.get("root_path", ""), scope.get("app_root_path", "")
    if not isinstance(root, str) or not isinstance(outer, str) or root == outer or "app_root_path" not in scope:
        return template
    return paths.folded(root.removeprefix(outer)) + template


def _starlette_route(scope: dict[str, Any]) -> str | None:
    """Older Starlette (before 0.5x) names only the endpoint: finds its route in the router's list."""
    endpoint, router = scope.get("endpoint"), scope.get("router")
    if endpoint is None:
        return None
    for route in getattr(router, "routes", ())[:500]:
        if getattr(route, "endpoint", None) is endpoint:
            path = getattr(route, "path", None)
            return path if isinstance(path, str) else None
    return None
