"""The modules of the probe as source and as code: a program that gets code that fits is spared compiling them.

Compiling takes 50 ms of the program's CPU time, in pieces of up to 5 ms that keep the interpreter from it, and 2 MB
that its malloc keeps; code takes little of either. Code fits one minor version: ours compiles it for its own, another
one is compiled by the program's own interpreter where that may be run (see `interpreter`), and else by the program.
"""

from __future__ import annotations

import marshal
import os
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING

from monitor.attach.inject.interpreter import for_compiling

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE = 2.0
"""Seconds that the other interpreter may take; it takes 0.1."""

_EVERY_PYTHON = 2
"""The form of marshal that each Python reads."""

_COMPILE = """
import marshal, sys
from _frozen_importlib_external import MAGIC_NUMBER
codes = {}
for name, source in marshal.load(sys.stdin.buffer).items():
    codes[name] = marshal.dumps(compile(source, f"<looptop>/{name.replace('.', '/')}.py", "exec", dont_inherit=True))
marshal.dump((MAGIC_NUMBER, codes), sys.stdout.buffer, 2)
"""


def packed(files: Mapping[str, Path], pid: int) -> bytes:
    """Those modules for a process: the length of a table in eight digits, the table, and the pieces.

    The table says which Python the code is for, and of each module where source and code begin and how long they are.
    """
    sources = {name: path.read_bytes() for name, path in files.items()}
    magic, codes = _by_its_own(pid, sources) or _by_ours(files)
    places: dict[str, tuple[int, int, int, int]] = {}
    pieces: list[bytes] = []
    begin = 0
    for name, source in sources.items():
        code = codes[name]
        places[name] = (begin, len(source), begin + len(source), len(code))
        pieces += [source, code]
        begin += len(source) + len(code)
    table = marshal.dumps((magic, places), _EVERY_PYTHON)
    return b"%8d" % len(table) + table + b"".join(pieces)


def _by_ours(files: Mapping[str, Path]) -> tuple[bytes, dict[str, bytes]]:
    """Out of what Python has cached, if it has."""
    found = {name: SourceFileLoader(name, os.fspath(path)).get_code(name) for name, path in files.items()}
    return MAGIC_NUMBER, {name: marshal.dumps(code) for name, code in found.items()}


def _by_its_own(pid: int, sources: dict[str, bytes]) -> tuple[bytes, dict[str, bytes]] | None:
    """None where ours is of the same version, or its own may not be run or does not answer."""
    interpreter = for_compiling(pid)
    if interpreter is None:
        return None
    import subprocess  # only here: it takes a while to load

    try:
        done = subprocess.run(  # noqa: S603
            [interpreter, "-I", "-S", "-c", _COMPILE],
            input=marshal.dumps(sources, _EVERY_PYTHON),
            capture_output=True,
            check=True,
            timeout=PATIENCE,
            cwd="/",
        )
        magic, codes = marshal.loads(done.stdout)  # noqa: S302 - what our own user's file says
    except (OSError, subprocess.SubprocessError, EOFError, ValueError, TypeError):
        return None
    return (magic, codes) if sources.keys() <= codes.keys() else None
