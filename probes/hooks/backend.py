"""Which twin of the hooks this process has: those in C, or those in Python; and for the latter, why."""

from __future__ import annotations

import os
import sys
from typing import Any

MOST_CHANGED = 200_000
"""Records that may wait for the sampler; what changes beyond that is dropped and counted."""
MOST_NAMED = 500
"""Ended tasks that are told by name at once (fewer a second if it goes on), beside those that failed."""


FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()
"""No lock of the interpreter's keeps threads apart: what one counts no other counts too."""


def _load() -> tuple[Any, Any, str]:
    if os.environ.get("LOOPTOP_PURE", "") not in ("", "0"):
        return None, None, "LOOPTOP_PURE is set"
    if sys.implementation.name != "cpython":
        return None, None, sys.implementation.name
    if FREE_THREADED:
        return None, None, "free-threaded"
    try:
        # By the `__import__` of this module's own: where the probe was put in by pid, that knows where the file is.
        module: Any = __import__("_native", globals(), None, ("make_state",), 1)
        state = module.make_state(MOST_CHANGED, MOST_NAMED)
    except ModuleNotFoundError:
        return None, None, "not built"
    except Exception as error:
        return None, None, str(error)
    return module, state, ""


native, shared, why_pure = _load()
"""The module in C and its state, or None and a word why not."""
