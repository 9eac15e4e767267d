"""The probe's modules as source and as compiled code, so that the program need not compile them if the code fits.

Compiling takes 50 ms of the program's CPU time, in pieces of up to 5 ms during which it holds the GIL, and 2 MB that
its malloc keeps; loading code takes little of either. Code fits one minor version: looptop's interpreter compiles for
its own, the target's interpreter for others if we may run it (see `interpreter`); otherwise the target compiles.
"""

from __future__ import annotations

import marshal
import os
import sys
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING, Union

from monitor.attach.inject.interpreter import for_compiling
from monitor.attach.inject.target import OLDEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import CodeType

Source = Union["Path", bytes]
"""A module: its file, or its text where there is none."""

PATIENCE = 2.0
"""Seconds to wait for the other interpreter, which takes 0.1."""

_EVERY_PYTHON = 2
"""A marshal version that every Python reads."""

_COMPILE = """
import marshal, sys
from _frozen_importlib_external import MAGIC_NUMBER
codes = {}
for name, source in marshal.load(sys.stdin.buffer).items():
    codes[name] = marshal.dumps(compile(source, f"<looptop>/{name.replace('.', '/')}.py", "exec", dont_inherit=True))
marshal.dump((MAGIC_NUMBER, codes), sys.stdout.buffer, 2)
"""


NATIVE = "hooks._native"
"""The C hooks, which come as they are."""


def packed(files: Mapping[str, Source], pid: int, hooks: bytes = b"") -> bytes:
    """The modules packed for a process: length of the table in eight digits, the table, and the pieces.

    The table gives the Python version of the code and, for each module, offset and length of source and code.
    `hooks`: a copy of the C hooks, if the program needs one.
    """
    sources = {name: file if isinstance(file, bytes) else file.read_bytes() for name, file in files.items()}
    magic, codes = _by_its_own(pid, sources) or _by_ours(files)
    places: dict[str, tuple[int, int, int, int]] = {}
    pieces: list[bytes] = []
    begin = 0
    for name, source in sources.items():
        code = codes[name]
        places[name] = (begin, len(source), begin + len(source), len(code))
        pieces += [source, code]
        begin += len(source) + len(code)
    if hooks:
        places[NATIVE] = (begin, len(hooks), begin, 0)
        pieces.append(hooks)
    table = marshal.dumps((magic, places), _EVERY_PYTHON)
    return b"%8d" % len(table) + table + b"".join(pieces)


def _by_ours(files: Mapping[str, Source]) -> tuple[bytes, dict[str, bytes]]:
    """Compiled by this interpreter, from its cache if possible."""
    if sys.version_info < OLDEST:  # on another machine; it might not even be able to read them
        return b"", dict.fromkeys(files, b"")
    return MAGIC_NUMBER, _all_by_ours(tuple(files.items()))


@lru_cache(maxsize=1)  # of a set with hundreds of processes, once
def _all_by_ours(files: tuple[tuple[str, Source], ...]) -> dict[str, bytes]:
    return {name: marshal.dumps(_code(name, file)) for name, file in files}


def _code(name: str, file: Source) -> CodeType | None:
    if isinstance(file, bytes):
        return compile(file, f"<looptop>/{name.replace('.', '/')}.py", "exec", dont_inherit=True)
    return SourceFileLoader(name, os.fspath(file)).get_code(name)


def _by_its_own(pid: int, sources: dict[str, bytes]) -> tuple[bytes, dict[str, bytes]] | None:
    """Compiled by the target's interpreter; None if its version is ours, it may not be run, or it does not answer."""
    interpreter = for_compiling(pid)
    if interpreter is None:
        return None
    import subprocess  # slow to import

    try:
        done = subprocess.run(  # noqa: S603
            [interpreter, "-I", "-S", "-c", _COMPILE],
            input=marshal.dumps(sources, _EVERY_PYTHON),
            capture_output=True,
            check=True,
            timeout=PATIENCE,
            cwd="/",
        )
        magic, codes = marshal.loads(done.stdout)  # noqa: S302 - output of our own user's interpreter
    except (OSError, subprocess.SubprocessError, EOFError, ValueError, TypeError):
        return None
    return (magic, codes) if sources.keys() <= codes.keys() else None
