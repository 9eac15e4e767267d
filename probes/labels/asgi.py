"""Requests of ASGI servers: method and route, as Starlette, FastAPI and Litestar put it into the scope.

uvicorn makes a task for each request with `RequestResponseCycle.run_asgi`, whose `self` has the scope; hypercorn and
daphne make one whose function takes it. Where a framework names no route in the scope (Django), ids in the path are
folded.
"""

from __future__ import annotations

from gc import get_referents
from typing import TYPE_CHECKING, Any

from . import paths

if TYPE_CHECKING:
    from types import CodeType

NAME = "asgi"
_ARGUMENTS = {"scope", "receive", "send"}
_WEBSOCKET = "websocket"


def matches(code: CodeType) -> bool:
    """Whether tasks of this code are requests."""
    if code.co_qualname.endswith(".run_asgi") and "uvicorn" in code.co_filename:
        return True
    return set(code.co_varnames[: code.co_argcount]) >= _ARGUMENTS


def source(coro: Any) -> dict[str, Any] | None:
    """The scope of the request. Read from what the frame refers to: its `f_locals` would keep copies alive."""
    for held in get_referents(coro):
        if type(held) is not dict:
            held = getattr(held, "scope", None) if type(held).__module__.startswith("uvicorn.") else None
        if type(held) is dict and held.get("type") in ("http", _WEBSOCKET) and isinstance(held.get("path"), str):
            scope: dict[str, Any] = held
            return scope
    return None


def read(scope: dict[str, Any]) -> str | None:
    """Method and route of the request; before it was routed, the path without its ids."""
    method = "WS" if scope["type"] == _WEBSOCKET else scope.get("method")
    return paths.label(method, _template(scope) or paths.folded(scope["path"]))


def _template(scope: dict[str, Any]) -> str | None:
    litestar = scope.get("path_template")
    if isinstance(litestar, str):
        return litestar or "/"
    route = scope.get("route")
    template = getattr(route, "path", None) if route is not None else _starlette_route(scope)
    if not isinstance(template, str):
        return None
    root, outer = scope.get("root_path", ""), scope.get("app_root_path", "")
    if not isinstance(root, str) or not isinstance(outer, str) or root == outer or "app_root_path" not in scope:
        return template
    return paths.folded(root.removeprefix(outer)) + template


def _starlette_route(scope: dict[str, Any]) -> str | None:
    """Starlette before 0.5x names only the endpoint: the route is the one in the router's list that has it."""
    endpoint, router = scope.get("endpoint"), scope.get("router")
    if endpoint is None:
        return None
    for route in getattr(router, "routes", ())[:500]:
        if getattr(route, "endpoint", None) is endpoint:
            path = getattr(route, "path", None)
            return path if isinstance(path, str) else None
    return None
