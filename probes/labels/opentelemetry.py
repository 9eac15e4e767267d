"""Labels by OpenTelemetry: the first span that is current after a step, or in which the task was made."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Any

NAME = "opentelemetry"


def find() -> ContextVar[Any] | None:
    """The context variable with the current context; None if OpenTelemetry is not loaded or keeps it elsewhere."""
    runtime = getattr(sys.modules.get("opentelemetry.context"), "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    return variable if isinstance(variable, ContextVar) and "opentelemetry.trace" in sys.modules else None


def span(context: Any) -> Any:
    """The span of a context, if it has a name, else None."""
    key = getattr(sys.modules.get("opentelemetry.trace.propagation"), "_SPAN_KEY", None)
    if key is None or not isinstance(context, dict):
        return None
    found = dict.get(context, key)
    return found if isinstance(getattr(found, "_name", None), str) else None


def read(span: Any) -> str | None:
    """Its current name: frameworks rename a span once the route is known."""
    name = span._name
    return name if isinstance(name, str) and name else None
