"""Which backend of the hooks this process uses, C or Python, and why not C."""

from __future__ import annotations

import os
import sys
from typing import Any

MOST_CHANGED = 200_000
"""Most records that wait for the sampler; further changes are dropped and counted."""
MOST_NAMED = 500
"""Most ends reported by name in one burst (fewer per second if it goes on), not counting failures."""


FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()
"""Without a GIL two threads must not write the same counts."""
STALE = "built of older sources"
"""Why a C module that does not belong to the sources beside it is not used."""


def _load() -> tuple[Any, Any, str]:
    if os.environ.get("LOOPTOP_PURE", "") not in ("", "0"):
        return None, None, "LOOPTOP_PURE is set"
    if sys.implementation.name != "cpython":
        return None, None, sys.implementation.name
    if FREE_THREADED:
        return None, None, "free-threaded"
    try:
        # By this module's own `__import__`: after an attach by pid, its loader knows where the file is.
        module: Any = __import__("_native", globals(), None, ("make_state",), 1)
        if _is_stale(getattr(module, "BUILD", "")):
            return None, None, STALE
        state = module.make_state(MOST_CHANGED, MOST_NAMED)
    except ModuleNotFoundError:
        return None, None, "not built"
    except Exception as error:
        return None, None, str(error)
    return module, state, ""


def _is_stale(build: str) -> bool:
    """Whether the C sources beside this file are not those that the module was built of: it may lack what is called.

    Only a development tree has sources. After an attach by pid the attacher has compared them.
    """
    folder = os.path.join(os.path.dirname(globals().get("__file__") or ""), "native")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".c", ".h")))
    except OSError:
        return False
    if not names:
        return False
    try:
        sha256: Any = __import__("_sha2").sha256
    except ImportError:  # before 3.12; hashlib would load OpenSSL into the program
        sha256 = __import__("_sha256").sha256
    digest = sha256()
    for name in names:
        with open(os.path.join(folder, name), "rb") as source:
            digest.update(source.read())
    return bool(digest.hexdigest()[: len(build) or 16] != build)


native, shared, why_pure = _load()
"""The C module and its state, or None and the reason."""
