"""Which frames of a stack are the user's own; what lies between them, of frameworks and asyncio, is folded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LEAST = 2
"""Frames that are folded: one alone takes no more room than the line that would stand for it."""

MOST_NAMED = 4
"""Libraries that the line of a fold names."""

_PACKAGE = re.compile(r"/(?:site|dist)-packages/([^/]+)")
_STDLIB = re.compile(r"/lib(?:64)?/python3[^/]*/([^/]+)|^<frozen ([\w]+)")


@dataclass(frozen=True, slots=True)
class Fold:
    """Frames `begin` to `end` (not included) of a stack, none of them the user's."""

    begin: int
    end: int
    libraries: tuple[str, ...]  # as they follow each other, each once

    @property
    def text(self) -> str:
        """`14 frames of uvicorn, starlette, fastapi`."""
        named = ", ".join(self.libraries[:MOST_NAMED])
        more = ", …" if len(self.libraries) > MOST_NAMED else ""
        return f"{self.end - self.begin} frames of {named}{more}"


def library_of(file: str, stdlib: Sequence[str] = ()) -> str:
    """The library that a file belongs to, as it is imported; empty for the user's own. `stdlib`: its folders."""
    package = _PACKAGE.search(file)
    if package is not None:
        return package[1].removesuffix(".py")
    root = next((root for root in stdlib if root and file.startswith(root)), None)
    if root is not None:
        return file[len(root) :].lstrip("/").partition("/")[0].removesuffix(".py")
    found = _STDLIB.search(file)
    return "" if found is None else (found[1] or found[2]).removesuffix(".py")


def own_frames(files: Sequence[str], stdlib: Sequence[str] = ()) -> list[int]:
    """Which frames of a stack (outermost first) are the user's.

    In a stack without any (an application that was installed as a package), those of the library that is innermost
    but for the standard library.
    """
    libraries = [library_of(file, stdlib) for file in files]
    if "" not in libraries:
        packages = [library for library, file in zip(libraries, files, strict=True) if _PACKAGE.search(file)]
        return [number for number, library in enumerate(libraries) if library in packages[-1:]]
    return [number for number, library in enumerate(libraries) if not library]


def folded(files: Sequence[str], stdlib: Sequence[str] = (), kept: Collection[int] = ()) -> list[int | Fold]:
    """A stack (outermost first) as the numbers of the frames to show, and the folds between them.

    The user's own frames are shown, the innermost one whosever it is, and those of `kept`. Without any frame of the
    user's nothing is folded.
    """
    own = set(own_frames(files, stdlib))
    if not own:
        return list(range(len(files)))
    own.update(kept)
    own.add(len(files) - 1)
    result: list[int | Fold] = []
    begin = 0
    for number in [*sorted(own), len(files)]:
        if number - begin >= LEAST:
            names = dict.fromkeys(library_of(file, stdlib) for file in files[begin:number])
            result.append(Fold(begin, number, tuple(names)))
        else:
            result += range(begin, number)
        if number < len(files):
            result.append(number)
        begin = number + 1
    return result
