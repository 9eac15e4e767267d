"""Which frame is the user's: creation sites and blamed lines, and a number for each (code, line) on the wire.

A line of the standard library is never a creation site. Plumbing is asyncio, concurrent.futures, contextlib, the probe
itself and known frameworks; the setting `skip` extends the list.
"""

from __future__ import annotations

import os
import sys
from asyncio import base_events
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType

USER, PLUMBING, BOUNDARY, RUNNER, FRAMEWORK = range(5)
"""Kinds of source files. Below a boundary lies the loop itself, whose caller created nothing. A framework is plumbing
whose line is better than none."""

FRAMEWORKS = (
    "aiohttp",
    "anyio",
    "asgiref",
    "fastapi",
    "gunicorn",
    "httpcore",
    "httpx",
    "hypercorn",
    "nest_asyncio",
    "sanic",
    "starlette",
    "tornado",
    "uvicorn",
    "uvloop",
    "websockets",
)
"""Packages whose lines are a creation site only if no other line is on the stack."""

COMPILED = "uvloop/"
"""The folder of code that Cython compiled, which has names of files as they were where it was built."""

MOST = 100_000
"""Most sites and strings that are kept; any further one becomes number 0, which stands for unknown."""
MOST_CODES = 20_000
"""Most code objects whose numbers are remembered. That keeps them alive, and a program may create new ones forever."""
MOST_FILES = 20_000
"""Most file names whose kind is remembered: a program may create code under new names forever."""

_LAUNCHERS = ("from multiprocessing.spawn import spawn_main", "from multiprocessing.forkserver import main")


def was_launched(argv: list[str]) -> bool:
    """Whether multiprocessing started this process by `python -c`: then `<string>` is not the user's code."""
    return any(flag == "-c" and code.startswith(_LAUNCHERS) for flag, code in pairwise(argv))


_launched = was_launched(sys.orig_argv)
_stdlib = os.__file__.rpartition("/")[0] + "/"
_own = __file__.rpartition("/base/")[0] + "/"
_HOOKS = ("/hooks/births_in_python.py", "/hooks/steps_in_python.py")


class _Files(dict[str, int]):
    """The kind of each source file seen so far, determined on first access. Cleared when there are too many."""

    def __init__(self) -> None:
        super().__init__()
        self.skip: tuple[str, ...] = ()

    def __missing__(self, file: str) -> int:
        if len(self) >= MOST_FILES:
            self.clear()
        kind = self[file] = _kind(file, self.skip)
        return kind


plumbing = _Files()
LOOP: Any = base_events.BaseEventLoop._run_once.__code__  # type: ignore[attr-defined]
"""The code in which asyncio's loop calls callbacks: also a boundary, since hooks in C leave no frame of
`Handle._run`."""


def skip_also(patterns: tuple[str, ...]) -> None:
    """Makes files whose path contains one of the patterns plumbing too."""
    plumbing.clear()
    _known.clear()
    plumbing.skip = patterns


def _kind(file: str, skip: tuple[str, ...]) -> int:
    if file.startswith(_own) or file == "<frozen importlib._bootstrap>":
        return BOUNDARY if is_hook(file) else PLUMBING
    if any(pattern in file for pattern in skip):
        return PLUMBING
    if "/asyncio/" in file and (file.startswith(_stdlib) or is_stdlib(file)):
        if file.endswith("/asyncio/events.py"):
            return BOUNDARY
        return RUNNER if file.endswith("/asyncio/runners.py") else PLUMBING
    if is_stdlib(file):
        return PLUMBING
    if file.startswith(COMPILED):
        return FRAMEWORK
    for packages in ("/site-packages/", "/dist-packages/"):
        _, found, rest = file.rpartition(packages)
        if found and rest.partition("/")[0].removesuffix(".py") in FRAMEWORKS:
            return FRAMEWORK
    return USER


def is_stdlib(file: str) -> bool:
    """Whether a file belongs to the standard library, is frozen into the interpreter, or multiprocessing's launcher."""
    if file.startswith("<frozen ") or (_launched and file == "<string>"):
        return True
    return file.startswith(_stdlib) and "/site-packages/" not in file and "/dist-packages/" not in file


def is_own(file: str) -> bool:
    """Whether a file is one of the probe's."""
    return file.startswith(_own)


def is_hook(file: str) -> bool:
    """Whether a file is one of the hooks in Python, whose frames lie between the loop and the program's."""
    return file.startswith(_own) and file.endswith(_HOOKS)


def is_package(file: str) -> bool:
    """Whether a file was installed into a site-packages folder."""
    return "/site-packages/" in file or "/dist-packages/" in file or file.startswith(COMPILED)


def of(coro: Any, frame: Any) -> tuple[CodeType | None, int]:
    """The creation site of a task, from the frame that called `create_task`: code and instruction."""
    first = frame
    kind = first_kind = plumbing[frame.f_code.co_filename]
    while kind != USER:
        frame = frame.f_back
        outer = BOUNDARY if frame is None or frame.f_code is LOOP else plumbing[frame.f_code.co_filename]
        if outer == BOUNDARY or (outer == RUNNER and kind != RUNNER):
            made = getattr(coro, "cr_code", None)
            if made is None or frame is not first.f_back:
                return _site_without_user_frame(coro, first, first_kind)
            return _made_by_the_loop(coro, made, first, first_kind)
        kind = outer
    return frame.f_code, frame.f_lasti


_known: dict[tuple[int, int, int], tuple[Any, Any, tuple[CodeType | None, int]]] = {}
"""Sites of tasks that no user frame created, such as a server's task for each request. They depend on caller and
coroutine function only, which are kept alive so that their ids are not reused."""


def _made_by_the_loop(coro: Any, made: Any, first: Any, first_kind: int) -> tuple[CodeType | None, int]:
    key = (id(first.f_code), first.f_lasti, id(made))
    known = _known.get(key)
    if known is None:
        if len(_known) >= 1000:
            _known.clear()
        known = _known[key] = (first.f_code, made, _site_without_user_frame(coro, first, first_kind))
    return known[2]


def _site_without_user_frame(coro: Any, first: Any, first_kind: int) -> tuple[CodeType | None, int]:
    if first_kind == FRAMEWORK:
        code = getattr(coro, "cr_code", None)
        if code is not None and plumbing[code.co_filename] != USER:
            return first.f_code, first.f_lasti
    return fallback(coro, first)


def fallback(coro: Any, frame: Any) -> tuple[CodeType | None, int]:
    """The site of a task that no user frame made: its coroutine function, else the first frame of a package."""
    code = getattr(coro, "cr_code", None) or getattr(coro, "gi_code", None)
    if code is not None and plumbing[code.co_filename] == USER:
        return code, -1
    first = frame
    while frame is not None:
        if not is_stdlib(frame.f_code.co_filename) and not frame.f_code.co_filename.startswith(_own):
            return frame.f_code, frame.f_lasti
        if frame.f_code is LOOP or plumbing[frame.f_code.co_filename] in (BOUNDARY, RUNNER):
            break
        frame = frame.f_back
    if code is not None and not is_stdlib(code.co_filename):
        return code, -1
    return first.f_code, first.f_lasti


def stack_of(frame: Any, depth: int) -> tuple[tuple[CodeType, int], ...]:
    """The creation stack from a frame outwards to the loop, innermost first, as (code, instruction)."""
    out: list[tuple[CodeType, int]] = []
    while frame is not None and len(out) < depth:
        code = frame.f_code
        if code is LOOP or plumbing[code.co_filename] == BOUNDARY:
            break
        out.append((code, frame.f_lasti))
        frame = frame.f_back
    return tuple(out)


def line_of(code: CodeType, lasti: int) -> int:
    """The line of an instruction (byte offset); the first line of the function for -1."""
    if lasti >= 0:
        for start, end, line in code.co_lines():
            if start <= lasti < end and line is not None:
                return line
    return code.co_firstlineno


def blamed(stack: list[tuple[CodeType, int]]) -> int:
    """Index of the line to blame in a stack (outermost first): the innermost line of user code.

    If there is none, the innermost outside the standard library, else the innermost. -1 for an empty stack.
    """
    outside = -1
    for index in range(len(stack) - 1, -1, -1):
        file = stack[index][0].co_filename
        if is_stdlib(file) or file.startswith(_own):
            continue
        if not is_package(file):
            return index
        if outside < 0:
            outside = index
    return outside if outside >= 0 else len(stack) - 1


class Tables:
    """Numbers for strings and sites; a session sends those that are new since it last sent. Used by one thread."""

    def __init__(self) -> None:
        self.strings: list[str] = ["(unknown)"]
        self.sites: list[tuple[int, int, int]] = [(0, 0, 0)]
        self._strings: dict[str, int] = {}
        self._by_line: dict[tuple[int, int], int] = {}
        self._by_lasti: dict[tuple[int, int], int] = {}
        self._codes: dict[int, CodeType] = {}
        self._entries: dict[tuple[int, int, int], int] = {}

    def string(self, text: str) -> int:
        """The number of a string, cut to 300 characters."""
        number = self._strings.get(text)
        if number is None:
            if len(self.strings) >= MOST:
                return 0
            number = self._strings[text] = len(self.strings)
            self.strings.append(text if len(text) <= 300 else text[:299] + "…")
        return number

    def site(self, code: CodeType, line: int) -> int:
        """The number of a line of a code object."""
        key = (id(code), line)
        number = self._by_line.get(key)
        if number is None:
            number = self._site(code.co_filename, line, code.co_qualname)
            if number:
                self._make_room()
                self._codes[id(code)] = code  # keeps the id from being reused
                self._by_line[key] = number
        return number

    def site_at(self, code: CodeType | None, lasti: int) -> int:
        """The number of the line of an instruction; 0 when there is no code."""
        if code is None:
            return 0
        key = (id(code), lasti)
        number = self._by_lasti.get(key)
        if number is None:
            number = self.site(code, line_of(code, lasti))
            if number:
                self._by_lasti[key] = number
        return number

    def _make_room(self) -> None:
        """Clears the memory by code object when it grows too large; numbers do not change."""
        if len(self._codes) >= MOST_CODES or len(self._by_line) >= MOST or len(self._by_lasti) >= MOST:
            self._codes.clear()
            self._by_line.clear()
            self._by_lasti.clear()

    def _site(self, file: str, line: int, function: str) -> int:
        entry = (self.string(file), line, self.string(function))
        number = self._entries.get(entry)
        if number is None:
            if len(self.sites) >= MOST:
                return 0
            number = self._entries[entry] = len(self.sites)
            self.sites.append(entry)
        return number


def python_paths() -> dict[str, list[str]]:
    """The folders of the standard library and of installed packages, so that viewers can shorten paths."""
    found = [*_folder_to_come(), *(entry for entry in sys.path if entry)]
    return {"stdlib": [_stdlib], "path": found[:20]}


def _folder_to_come() -> list[str]:
    """The folder that Python puts at the beginning of `sys.path` when it is about to run a script or module: a probe
    that is there before, and opens a black box, does not see it yet (pymain_run_python in Modules/main.c)."""
    program = sys.modules.get("__main__")
    words = list(getattr(sys, "argv", ()))
    if type(program) is not ModuleType or "__file__" in vars(program) or sys.flags.safe_path or not words[:1]:
        return []
    try:
        if words[0] == "-m":
            return [os.getcwd()]
        if words[0] in ("", "-c"):
            return []
        path = os.path.realpath(words[0])
        return [path if os.path.isdir(path) else os.path.dirname(path)]
    except (OSError, ValueError, TypeError):
        return []
