"""Requests of `aiohttp.web`: method and resource. aiohttp makes a task of `RequestHandler._handle_request` for each."""

from __future__ import annotations

from gc import get_referents
from typing import TYPE_CHECKING, Any
from weakref import ref

from . import paths

if TYPE_CHECKING:
    from types import CodeType

NAME = "aiohttp.web"

_MOST_KINDS = 200
_kinds: dict[type, bool] = {}
"""Whether objects of a type are requests: asking each object costs a microsecond of every request."""


def matches(code: CodeType) -> bool:
    """Whether tasks of this code are requests."""
    return code.co_qualname == "RequestHandler._handle_request" and "aiohttp" in code.co_filename


def source(coro: Any) -> ref[Any] | None:
    """The request, weakly: it refers to its task."""
    for held in get_referents(coro):
        kind = type(held)
        is_request = _kinds.get(kind)
        if is_request is None:
            if len(_kinds) >= _MOST_KINDS:
                _kinds.clear()
            is_request = hasattr(kind, "match_info") and hasattr(held, "_match_info") and hasattr(held, "method")
            _kinds[kind] = is_request
        if is_request:
            return ref(held)
    return None


def read(request: ref[Any]) -> str | None:
    """Method and canonical path of its resource; the path without its ids where no route matched."""
    held = request()
    if held is None:
        return None
    resource = getattr(getattr(held._match_info, "route", None), "resource", None)
    canonical = getattr(resource, "canonical", None)
    path = canonical if isinstance(canonical, str) and canonical else paths.folded(held.rel_url.raw_path)
    return paths.label(held.method, path)
