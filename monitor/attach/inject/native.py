"""The C hooks for an attached program: the file installed here, if the program sees the same one.

The dynamic loader maps a file once per process, however often a probe is injected, and never unmaps it. So no copy is
sent, because each one would be mapped anew.
"""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any


def file() -> dict[str, Any]:
    """What the program needs to load the C hooks, or `why` it gets those in Python."""
    if os.environ.get("LOOPTOP_PURE", "") not in ("", "0"):
        return {"why": "LOOPTOP_PURE is set"}
    try:
        module: Any = import_module("probes.hooks._native")  # proves that it is complete and fits this machine
        path = Path(module.__file__).resolve()
        found = path.stat()
        build = module.BUILD
        sources = sorted((path.parent / "native").glob("*.[ch]"))  # only in a development tree
        if sources and build != sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]:
            return {"why": "built of older sources"}
    except ModuleNotFoundError:
        return {"why": "not built"}
    except AttributeError:
        return {"why": "built of older sources"}
    except (ImportError, OSError) as error:
        return {"why": str(error)[:200]}
    return {
        "file": str(path),
        "build": build,
        "identity": [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns],
        "machine": getattr(sys.implementation, "_multiarch", ""),
        "uid": os.geteuid(),
    }


def why_not(pid: int) -> str:
    """Why a program would get the hooks in Python, as far as visible from outside; empty if it gets those in C."""
    facts = file()
    if "why" in facts:
        return str(facts["why"])
    try:
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(b"LOOPTOP_PURE=") and entry[13:] not in (b"", b"0"):
                return "LOOPTOP_PURE is set"
        found = Path(f"/proc/{pid}/root{facts['file']}").stat()
    except OSError:
        return "its file cannot be read there"
    if [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns] != facts["identity"]:
        return "its file is another one there"
    return ""
